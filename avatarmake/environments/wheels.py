"""The wheels that a lock asks for, fetched to this host: images are built from these and from nothing else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from avatarmake.environments import patched
from avatarmake.errors import Exit, StageError
from avatarmake.registry import ADVICE, HOME, alone, pip, settings

WHEELS = HOME / "wheels"


def wheels(lock: Path) -> list[Path]:
    """The wheels that `lock` asks for, fetched by pip into .venv/wheels where they are not there yet.

    Images are built from these and from nothing else: no build needs the network, a proxy's certificates or an index.
    Those of patched packages are made on this host.
    """
    text = lock.read_text()
    wanted = {_wheel_name(line) for line in re.findall(r"^[\w.-]+==[^\s\\;]+", text, re.MULTILINE)}
    ours = patched.wheels(text)
    with alone("wheels"):
        WHEELS.mkdir(exist_ok=True)
        for wheel in ours:  # every time: what is there may be of older patches
            shutil.copyfile(wheel, WHEELS / wheel.name)
        there = _matching(wanted)
        if len(there) < len(wanted):
            missing = len(wanted) - len(there)
            print(f"{lock.parent.name}: fetching {missing} wheels", file=sys.stderr, flush=True)
            flags = ("-qq", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:")
            words = (*pip(), "download", *flags, *patched.links(text), f"--dest={WHEELS}", "-r", str(lock))
            done = subprocess.run(words, capture_output=True, text=True)
            if done.returncode:
                raise StageError(done.stderr.strip(), "pip download", ADVICE, Exit.ENVIRONMENT)
            there = _matching(wanted)
    return there


def _matching(wanted: set[tuple[str, ...]]) -> list[Path]:
    return sorted(wheel for wheel in WHEELS.glob("*.whl") if _wheel_name(wheel.name) in wanted)


def _wheel_name(text: str) -> tuple[str, ...]:
    """Name and version of `name==version` or of a wheel's file name, spelled alike."""
    parts = text.split("==") if "==" in text else text.split("-")[:2]
    return tuple(re.sub(r"[-_.]+", "_", part).lower() for part in parts)


def find_links(name: str) -> list[str]:
    """Wheels of a package in the folders that pip is pointed to, for `make doctor`."""
    folders = [Path(place) for place in settings().get("find-links", []) if Path(place).is_dir()]
    return [str(wheel) for folder in folders for wheel in sorted(folder.glob(f"{name}-*.whl"))]


