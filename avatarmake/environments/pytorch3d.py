"""PYTORCH3D: a folder of wheels that go into flame_head_tracker's image on top of its lock.

As with BASE, what is set now is what is built. Whether a wheel is for the image's Python and platform, and whether it
works with the PyTorch in there, the build itself finds out.
"""

import os
import re
from pathlib import Path

from avatarmake.contract.kinds import CPU, lock_file
from avatarmake.environments.pins import pins, plain
from avatarmake.errors import Exit, StageError

STAGE = "flame_head_tracker"  # the one whose Dockerfile takes them
NAME = re.compile(r"([\w.]+)-([\w.+!]+)(-\d[\w.]*)?(-[\w.]+){3}\.whl", re.ASCII)
ADVICE = "docs/pytorch3d.md says how such wheels are made; without PYTORCH3D= the image does without them"


def wheels(stage: str, kind: str = CPU) -> list[Path]:
    """What PYTORCH3D adds to the stage's image, sorted; nothing for other stages, or where it is not set.

    Wheels of the lock's own packages in the lock's versions are left out. Raises StageError for a folder that is not
    there or has no pytorch3d, a file that is no wheel by its name, two wheels of a package, or another version of one
    in the lock, which none may replace.
    """
    said = os.environ.get("PYTORCH3D")
    if stage != STAGE or not said:
        return []
    folder = Path(said).expanduser()
    if not folder.is_dir():
        raise _wrong("there is no such folder", folder)
    locked, found = {pin.name: pin.version for pin in pins(lock_file(STAGE, kind).read_text())}, {}
    for wheel in sorted(folder.glob("*.whl")):
        name, version = parts(wheel)
        if name in found:
            raise _wrong(f"has two wheels of {name}, {found[name].name} and {wheel.name}; take one away", folder)
        if locked.get(name, version) != version:
            raise _wrong(f"the image has {name} {locked[name]}, which this must not replace; take it away", wheel)
        found[name] = wheel
    if "pytorch3d" not in found:
        raise _wrong("there is no pytorch3d*.whl in it", folder)
    return [wheel for name, wheel in found.items() if name not in locked]


def parts(wheel: Path) -> tuple[str, str]:
    """Name and version in the wheel's file name, which also goes into the build's shell."""
    match = NAME.fullmatch(wheel.name)
    if not match:
        raise _wrong("is no wheel by its name", wheel)
    return plain(match[1]), match[2]


def _wrong(what: str, where: Path) -> StageError:
    return StageError(f"PYTORCH3D: {what}", where, ADVICE, Exit.USAGE)
