"""How a container gets the host's GPUs: through NVIDIA's runtime, or by a CDI specification. Nothing is made here.

`info` is what the daemon says of itself. Podman's Docker API takes device requests and ignores them.
"""

import json
from pathlib import Path

import yaml
from docker.types import DeviceRequest

from avatarmake.gpu import Gpus

KIND = "nvidia.com/gpu"  # of the devices in a specification, as nvidia-ctk writes it
ADVICE = (
    "install the NVIDIA container toolkit; then `sudo nvidia-ctk runtime configure` and restart Docker, "
    "or `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
)


def way(info: dict) -> str:
    """`runtime`, `cdi`, or nothing where the daemon has no way to a GPU.

    The runtime is the older of the two and known to every daemon. Without root it works only where its configuration
    leaves cgroups alone, so CDI goes first there.
    """
    ways = ["runtime"] if "nvidia" in (info.get("Runtimes") or {}) else []
    ways += ["cdi"] if _specified(info) else []
    return (ways[-1] if is_rootless(info) else ways[0]) if ways else ""


def requests(info: dict, gpus: Gpus) -> list[DeviceRequest]:
    """What gives a container the GPUs that this process has: all of the machine's, or those of its job by name."""
    by = way(info)
    if not by or not gpus.cards:
        return []
    if by == "cdi":  # single cards' names are their numbers, unless nvidia-ctk was told otherwise
        names = ["all"] if gpus.all else [str(card.index) for card in gpus.cards]
        return [DeviceRequest(driver="cdi", device_ids=[f"{KIND}={name}" for name in names])]
    which = {"count": -1} if gpus.all else {"device_ids": [card.uuid for card in gpus.cards]}
    return [DeviceRequest(**which, capabilities=[["gpu", "compute", "utility"]])]


def is_rootless(info: dict) -> bool:
    return any("rootless" in option for option in info.get("SecurityOptions") or [])


def _specified(info: dict) -> bool:
    """Whether the daemon knows NVIDIA's devices by CDI: newer ones list them, older ones say where they look."""
    listed = info.get("DiscoveredDevices") or []
    if any(str(device.get("ID", "")).startswith(f"{KIND}=") for device in listed):
        return True
    folders = info.get("CDISpecDirs") or []  # none: it is switched off
    return any(_kind(file) == KIND for folder in folders for file in sorted(Path(folder).glob("*")))


def _kind(file: Path) -> str:
    """What a specification is of; nothing for a file that is none, or is not for us to read."""
    try:
        text = file.read_text() if file.suffix in (".yaml", ".yml", ".json") else ""
        said = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return ""
    return str(said.get("kind", "")) if isinstance(said, dict) else ""
