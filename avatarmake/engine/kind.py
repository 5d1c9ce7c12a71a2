"""Which build of PyTorch a stage gets on this host: by TORCH=, else by the GPU's driver, else the one for the CPU."""

from collections.abc import Callable
from typing import NamedTuple

from avatarmake import gpu
from avatarmake.contract import kinds
from avatarmake.contract.kinds import CPU
from avatarmake.engine import devices
from avatarmake.environments import platforms
from avatarmake.errors import Exit, StageError

# The least release of the driver for each, by NVIDIA's table of CUDA's releases: 13.x, and 12.x by its compatibility
# within 12. And the least compute capability that the build has code for, by torch.cuda.get_arch_list().
DRIVERS = {"cuda13": 580, "cuda12": 525}
CAPABILITIES = {"cuda13": (7, 5), "cuda12": (7, 0)}
MACHINE = ("linux", "x86_64")  # what their locks are resolved for
WORDS = {"cpu": "the CPU", "cuda12": "CUDA 12", "cuda13": "CUDA 13"}


class Kind(NamedTuple):
    name: str  # one of kinds.KINDS
    why: str  # nothing for a stage that has no choice

    def __str__(self) -> str:
        return f"PyTorch for {WORDS[self.name]} ({self.why})" if self.why else ""


NO_CHOICE = Kind(CPU, "")


def choose(stage: str, device: str = "auto", daemon: Callable[[], dict] | None = None) -> Kind:
    """The kind for a stage on this host, or in a container of `daemon` (what it says of itself).

    `device` is the stage's option: auto, cpu or cuda. Raises StageError where cuda is asked for and cannot be had.
    """
    if len(kinds.of(stage)) < 2:
        return NO_CHOICE
    if named := kinds.asked():
        return Kind(named, f"TORCH={named}")
    if device == "cpu":
        return Kind(CPU, "DEVICE=cpu")
    found = for_gpus(gpu.here())
    if found.name != CPU and daemon and not devices.way(daemon()):
        found = Kind(CPU, f"there is a GPU, and Docker has no way to it: {devices.ADVICE}")
    if found.name == CPU and device == "cuda":
        raise StageError(f"DEVICE=cuda needs a GPU: {found.why}", next="Or type DEVICE=cpu", exit=Exit.ENVIRONMENT)
    return found


def for_gpus(gpus: gpu.Gpus, machine: tuple[str, str] | None = None) -> Kind:
    """The newest kind that driver and cards will do for."""
    if not gpus.cards:
        advice = f"; CUDA needs R{min(DRIVERS.values())} or newer" if gpus.driverless else ""
        return Kind(CPU, gpus.trouble + advice)
    if (machine or platforms.here()) != MACHINE:
        return Kind(CPU, f"{gpus}; PyTorch for CUDA is locked for {' on '.join(MACHINE)} only")
    oldest = min(card.capability for card in gpus.cards)
    for name in DRIVERS:
        if gpus.release >= DRIVERS[name] and oldest >= CAPABILITIES[name]:
            return Kind(name, str(gpus))
    if gpus.release < min(DRIVERS.values()):
        least, best = min(DRIVERS.values()), max(DRIVERS.values())
        return Kind(CPU, f"{gpus}, which is too old: R{least} or newer would do, R{best} is best")
    least = ".".join(map(str, min(CAPABILITIES.values())))
    return Kind(CPU, f"{gpus}: a GPU of compute capability {least} or higher would do")
