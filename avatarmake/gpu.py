"""The NVIDIA GPUs that this process may use, and why it may use none: as NVML, the devices and the variables have it.

A GPU that is in the machine is hidden from a process in many ways: no driver; a container that was started without it
(its kernel's files are seen, its devices and libraries are not); a batch job's cgroup; a variable.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pynvml

ROOT = Path("/")


@dataclass(frozen=True)
class Card:
    """One GPU. `index` is NVML's, by the place on the bus."""

    index: int
    name: str
    uuid: str  # GPU-...
    capability: tuple[int, int]  # compute capability: (9, 0) is an H100's
    slices: tuple[str, ...] = ()  # UUIDs of its MIG instances, MIG-...


@dataclass(frozen=True)
class Gpus:
    """What there is to use, or in words why there is nothing."""

    cards: tuple[Card, ...] = ()
    driver: str = ""  # 580.65.06
    trouble: str = "no NVIDIA driver"  # only where there are no cards
    exists: bool = False  # whether the machine has a GPU, be it for this process or not
    driverless: bool = True  # whether a driver is what is missing
    all: bool = True  # whether the cards are all that the machine has

    @property
    def release(self) -> int:
        """The driver's first number: R580."""
        return int(self.driver.split(".")[0]) if self.driver else 0

    def __str__(self) -> str:
        if not self.cards:
            return self.trouble
        names = [card.name for card in self.cards]
        counted = [f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)]
        return f"{', '.join(counted)}, driver {self.driver}"


@functools.cache
def here() -> Gpus:
    """The GPUs of this process, looked for once."""
    return look(pynvml, os.environ, ROOT)


def look(nvml: ModuleType, variables: Mapping[str, str], root: Path) -> Gpus:
    """The GPUs by NVML's bindings, the environment's variables, and the files below `root`."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        kernel, on_the_bus = _kernel(root) != "", _on_the_bus(root)
        driverless = isinstance(error, nvml.NVMLError_LibraryNotFound) and not kernel
        return Gpus((), "", _no_nvml(nvml, error, variables, root), kernel or on_the_bus, driverless)
    try:
        return _look(nvml, variables, root)
    except nvml.NVMLError as error:
        return Gpus((), "", f"NVIDIA's library says: {error}", True, False)
    finally:
        nvml.nvmlShutdown()


def _look(nvml: ModuleType, variables: Mapping[str, str], root: Path) -> Gpus:
    driver, there = str(nvml.nvmlSystemGetDriverVersion()), nvml.nvmlDeviceGetCount()
    cards = [card for i in range(there) if (card := _card(nvml, i, root))]
    trouble = ""
    if not there:
        trouble = f"the driver ({driver}) lists no GPU{_given_none(variables, root)}"
    elif not cards:
        whose = f"the machine's {'GPU is' if there == 1 else f'{there} GPUs are'} not for this process"
        trouble = f"{whose}, which may open no device{_given_none(variables, root)}"
    elif not (left := visible(cards, variables.get("CUDA_VISIBLE_DEVICES"))):
        setting = variables["CUDA_VISIBLE_DEVICES"]
        asks = _batch(variables) if setting in ("", "NoDevFiles") else ""
        trouble = f"CUDA_VISIBLE_DEVICES={setting!r} hides {'the GPU' if there == 1 else f'all {there} GPUs'}{asks}"
    elif not (root / "dev/nvidia-uvm").exists() and not (root / "dev/dxg").exists() and _contained(root):
        trouble = "this container has the GPU and no /dev/nvidia-uvm, without which CUDA does not start"
    else:
        return Gpus(tuple(left), driver, "", True, False, len(left) == there)
    return Gpus((), driver, trouble, bool(there) or _kernel(root) != "", False)


def _card(nvml: ModuleType, index: int, root: Path) -> Card | None:
    """A card that this process may open. A cgroup leaves it in the count and refuses the card itself."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        if not (root / "dev/dxg").exists():  # Windows' own way, which has no node a card
            node = root / f"dev/nvidia{nvml.nvmlDeviceGetMinorNumber(handle)}"
            if not os.access(node, os.R_OK | os.W_OK):
                return None
        return Card(
            index,
            str(nvml.nvmlDeviceGetName(handle)),
            str(nvml.nvmlDeviceGetUUID(handle)),
            tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle)),
            _slices(nvml, handle),
        )
    except nvml.NVMLError:
        return None


def _slices(nvml: ModuleType, handle: Any) -> tuple[str, ...]:
    found = []
    try:
        for i in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
            found.append(str(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, i))))
    except nvml.NVMLError:  # the rest of the places are empty, or this card is never divided
        pass
    return tuple(found)


def visible(cards: list[Card], setting: str | None) -> list[Card]:
    """What CUDA_VISIBLE_DEVICES leaves of `cards`: places in their order or beginnings of UUIDs, up to the first wrong.

    Places are those of the bus; CUDA itself counts the fastest first unless CUDA_DEVICE_ORDER=PCI_BUS_ID, which is
    another order only where cards differ.
    """
    if setting is None:
        return cards
    left: list[Card] = []
    for word in (word.strip() for word in setting.split(",")):
        if word.isdecimal():
            found = cards[int(word) : int(word) + 1]
        else:
            known = [(card, uuid) for card in cards for uuid in (card.uuid, *card.slices)]
            found = [card for card, uuid in known if word.startswith(("GPU-", "MIG-")) and uuid.startswith(word)]
        if len(found) != 1:
            break
        left += [card for card in found if card not in left]
    return left


def _no_nvml(nvml: ModuleType, error: Exception, variables: Mapping[str, str], root: Path) -> str:
    """Why NVML cannot start, from its error and from what else of a driver there is."""
    kernel = _kernel(root)
    if isinstance(error, nvml.NVMLError_LibraryNotFound):
        if kernel:
            return f"the machine has NVIDIA's driver {kernel}, and this process does not{_given_none(variables, root)}"
        return "there is an NVIDIA GPU and no driver for it" if _on_the_bus(root) else "no NVIDIA driver"
    if isinstance(error, nvml.NVMLError_DriverNotLoaded):
        if kernel:
            return f"NVIDIA's driver {kernel} is loaded, and there is no /dev/nvidiactl{_given_none(variables, root)}"
        return "NVIDIA's driver is installed and not loaded: sudo modprobe nvidia, or restart the machine"
    if isinstance(error, nvml.NVMLError_LibRmVersionMismatch):
        return "NVIDIA's driver was changed while it ran: restart the machine"
    if isinstance(error, nvml.NVMLError_NoPermission):
        return f"this user may not open /dev/nvidiactl{_given_none(variables, root)}"
    return f"NVIDIA's library says: {error}"


def _given_none(variables: Mapping[str, str], root: Path) -> str:
    """Who would have to give this process a GPU, and how it is asked for."""
    setting = variables.get("NVIDIA_VISIBLE_DEVICES")
    if batch := _batch(variables):
        return batch
    if "RUNPOD_POD_ID" in variables:
        return ". This RunPod pod was started without a GPU: start one with"
    if "KUBERNETES_SERVICE_HOST" in variables:
        return ". Ask for it in the pod's limits: nvidia.com/gpu: 1"
    if _contained(root):
        said = f" (NVIDIA_VISIBLE_DEVICES={setting!r})" if setting in ("", "void", "none") else ""
        return f". This container was started without it{said}: docker run --gpus all, or --device nvidia.com/gpu=all"
    return ""


def _batch(variables: Mapping[str, str]) -> str:
    return ". SLURM gave this job none: sbatch --gres=gpu:1" if "SLURM_JOB_ID" in variables else ""


def _contained(root: Path) -> bool:
    return any((root / name).exists() for name in (".dockerenv", "run/.containerenv"))


def _kernel(root: Path) -> str:
    """The version of the kernel's module, which containers see too; empty where none is loaded."""
    listed = root / "proc/driver/nvidia/version"
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", listed.read_text()) if listed.exists() else None
    return found[1] if found else ""


def _on_the_bus(root: Path) -> bool:
    """Whether there is a display or compute device (PCI class 03) of NVIDIA's (vendor 10de)."""
    for vendor in root.glob("sys/bus/pci/devices/*/vendor"):
        kind = vendor.with_name("class")
        if vendor.read_text().strip() == "0x10de" and kind.exists() and kind.read_text().startswith("0x03"):
            return True
    return False
