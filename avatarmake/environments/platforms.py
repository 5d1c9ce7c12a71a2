"""Which stages cannot run on which machines, because a package that they are made of has no wheel there."""

import platform
import sys

from avatarmake.contract.pipeline import STAGES
from avatarmake.environments.pins import pins
from avatarmake.environments.venv import lock_file
from avatarmake.errors import Exit, StageError

# (system, machine) -> packages, in the locked versions, that have no wheel for it. tests/environments/test_platforms.py
# asks the registry. macOS is 14 or newer: av and onnxruntime have no wheels for older ones.
SERVED = {("linux", "x86_64"): (), ("linux", "aarch64"): ("mediapipe",), ("darwin", "arm64"): ()}


def here() -> tuple[str, str]:
    return sys.platform, platform.machine()


def without(machine: tuple[str, str]) -> dict[str, str]:
    """Stages that cannot run on a machine -> the package they miss there."""
    missing = SERVED.get(machine, ())
    locked = {stage: {pin.name for pin in pins(lock_file(stage).read_text(), machine[0])} for stage in STAGES}
    return {stage: name for stage in STAGES for name in missing if name in locked[stage]}


def check(stage: str) -> None:
    """Raises StageError for a stage that cannot run here."""
    if package := without(here()).get(stage):
        what = f"{package} has no wheel for {here()[0]} on {here()[1]}"
        advice = "Run this stage on Linux on x86_64 or on a Mac: data/ can be copied from one host to the other"
        raise StageError(what, stage, advice, Exit.ENVIRONMENT)
