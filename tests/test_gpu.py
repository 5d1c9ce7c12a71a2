"""Which GPUs a process may use, and why none: with a stand-in for NVML, and the files and variables that hide one."""

import re
from pathlib import Path

import pynvml
import pytest

from avatarmake import gpu
from avatarmake.gpu import Card, look

MODULE = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26 02:15:24 UTC 2025\n"
UUIDS = ("GPU-11111111-aaaa", "GPU-22222222-bbbb")
SLICE = "MIG-33333333-cccc"


class Nvml:
    """NVML's bindings over cards that are made up: `fails` is what it starts with, `refused` what a cgroup keeps."""

    def __init__(self, cards: int = 0, driver: str = "580.65.06", fails: int | None = None, refused=()):
        self.cards, self.driver, self.fails, self.refused, self.open = cards, driver, fails, refused, 0

    def __getattr__(self, name: str):  # the errors are the true ones
        return getattr(pynvml, name)

    def nvmlInit(self):
        if self.fails:
            raise pynvml.NVMLError(self.fails)
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlDeviceGetCount(self):
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index):
        if index in self.refused:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return index

    def nvmlDeviceGetMinorNumber(self, handle):
        return handle

    def nvmlDeviceGetName(self, handle):
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetUUID(self, handle):
        return handle if isinstance(handle, str) else UUIDS[handle]

    def nvmlDeviceGetCudaComputeCapability(self, handle):
        return [9, 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle):
        return 7 if handle == 1 else 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index):
        if index:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return SLICE


def machine(root: Path, *files: str, nodes: int = 0) -> Path:
    """The files of a machine with device nodes for so many GPUs."""
    for name in (*files, *(f"dev/nvidia{i}" for i in range(nodes)), *(["dev/nvidia-uvm"] if nodes else [])):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MODULE if name.endswith("version") else "")
    return root


def test_this_machine_is_looked_at_without_a_fault():
    found = gpu.here()
    assert bool(found.cards) != bool(found.trouble) and str(found)


def test_two_cards(tmp_path):
    nvml = Nvml(2)
    found = look(nvml, {}, machine(tmp_path, nodes=2))
    first = Card(0, "NVIDIA H100 80GB HBM3", UUIDS[0], (9, 0))
    assert found.cards[0] == first and found.cards[1].slices == (SLICE,)
    assert (found.release, found.trouble, found.exists, found.all) == (580, "", True, True)
    assert str(found) == "2 x NVIDIA H100 80GB HBM3, driver 580.65.06"
    assert nvml.open == 0, "NVML is let go again"


NOT_FOUND, NOT_LOADED = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED
VERSION = "proc/driver/nvidia/version"


@pytest.mark.parametrize(
    ("fails", "files", "variables", "said", "exists"),
    [
        (NOT_FOUND, (), {}, "no NVIDIA driver", False),
        (NOT_FOUND, (VERSION, ".dockerenv"), {}, "driver 570.124.06, and this process does not. .*--gpus all", True),
        (NOT_FOUND, (VERSION, ".dockerenv"), {"NVIDIA_VISIBLE_DEVICES": "void"}, r"DEVICES='void'\): docker run", True),
        (NOT_FOUND, (VERSION,), {"RUNPOD_POD_ID": "x"}, "RunPod pod was started without a GPU", True),
        (NOT_FOUND, (VERSION,), {"KUBERNETES_SERVICE_HOST": "x"}, "nvidia.com/gpu: 1", True),
        (NOT_LOADED, (), {}, "installed and not loaded: sudo modprobe nvidia", False),
        (NOT_LOADED, (VERSION,), {"SLURM_JOB_ID": "7"}, "570.124.06 is loaded, .*nvidiactl. SLURM gave .*--gres", True),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, (VERSION,), {}, "changed while it ran: restart", True),
        (pynvml.NVML_ERROR_NO_PERMISSION, (VERSION,), {}, "may not open /dev/nvidiactl", True),
        (pynvml.NVML_ERROR_GPU_IS_LOST, (VERSION,), {}, "says: GPU is lost", True),
    ],
)
def test_a_driver_that_does_not_start_says_why(tmp_path, fails, files, variables, said, exists):
    found = look(Nvml(fails=fails), variables, machine(tmp_path, *files))
    assert not found.cards and found.exists == exists
    assert re.search(said, found.trouble), found.trouble
    assert str(found) == found.trouble
    assert found.driverless == (fails == NOT_FOUND and not files)


def test_a_gpu_without_a_driver_is_seen_on_the_bus(tmp_path):
    device = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x040300\n")  # its sound
    assert look(Nvml(fails=NOT_FOUND), {}, tmp_path).trouble == "no NVIDIA driver"
    (device / "class").write_text("0x030200\n")
    found = look(Nvml(fails=NOT_FOUND), {}, tmp_path)
    assert found.trouble == "there is an NVIDIA GPU and no driver for it" and found.exists and found.driverless


def test_a_cgroup_leaves_a_job_its_own_card(tmp_path):
    found = look(Nvml(2, refused={0}), {"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0"}, machine(tmp_path, nodes=2))
    assert [card.uuid for card in found.cards] == [UUIDS[1]] and not found.all, "the first of those that are left"


@pytest.mark.parametrize(
    ("nvml", "nodes", "variables", "said"),
    [
        (Nvml(2, refused={0, 1}), 2, {"SLURM_JOB_ID": "7"}, "2 GPUs are not for this process, .* SLURM gave this job"),
        (Nvml(1), 0, {}, "machine's GPU is not for this process, which may open no device"),
        (Nvml(0), 0, {}, "lists no GPU"),
        (Nvml(2), 2, {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES='' hides all 2 GPUs"),
        (Nvml(1), 1, {"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES='-1' hides the GPU"),
        (Nvml(1), 1, {"CUDA_VISIBLE_DEVICES": "NoDevFiles", "SLURM_JOB_ID": "7"}, "hides the GPU. SLURM gave this job"),
    ],
)
def test_cards_that_are_hidden(tmp_path, nvml, nodes, variables, said):
    found = look(nvml, variables, machine(tmp_path, nodes=nodes))
    assert not found.cards and found.release == 580
    assert re.search(said, found.trouble), found.trouble


def test_windows_has_no_node_a_card(tmp_path):
    nvml = Nvml(1)
    nvml.nvmlDeviceGetMinorNumber = lambda handle: pytest.fail("NVML has no such number there")
    assert look(nvml, {}, machine(tmp_path, "dev/dxg", ".dockerenv")).cards


def test_a_container_without_unified_memory_s_device(tmp_path):
    root = machine(tmp_path, ".dockerenv", nodes=1)
    assert look(Nvml(1), {}, root).cards
    (root / "dev/nvidia-uvm").unlink()
    assert "no /dev/nvidia-uvm" in look(Nvml(1), {}, root).trouble


@pytest.mark.parametrize(
    ("setting", "left"),
    [
        (None, [0, 1]),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("0,5,1", [0]),  # CUDA stops at the first that is none
        ("GPU-2222", [1]),
        ("GPU-", []),  # of two
        ("22222222", []),
        (SLICE, [1]),
        ("-1", []),
        ("none", []),
        (" 0 , 0 ", [0]),
    ],
)
def test_cuda_visible_devices(setting, left):
    cards = [Card(i, "", UUIDS[i], (9, 0), (SLICE,) if i else ()) for i in range(2)]
    assert [card.index for card in gpu.visible(cards, setting)] == left
