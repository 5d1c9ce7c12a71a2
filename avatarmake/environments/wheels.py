"""The wheels that a lock asks for, fetched to this host: images are built from these and from nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

from avatarmake.environments import patched
from avatarmake.environments.pins import Pin, pins, plain
from avatarmake.errors import Exit, StageError
from avatarmake.registry import ADVICE, HOME, alone, pip, settings, torch_links

WHEELS = HOME / "wheels"


def wheels(lock: Path) -> list[Path]:
    """The wheels that `lock` asks for, fetched by pip into .venv/wheels where they are not there yet.

    No build needs the network, a proxy's certificates or an index. Those of patched packages are made on this host.
    """
    text = lock.read_text()
    wanted, ours = pins(text), patched.wheels(text)
    with alone("wheels"):
        WHEELS.mkdir(exist_ok=True)
        for wheel in ours:  # every time: what is there may be of older patches
            shutil.copyfile(wheel, WHEELS / wheel.name)
        there = _matching(wanted)
        if len(there) < len(wanted):
            print(f"{lock.parent.name}: fetching {len(wanted) - len(there)} wheels", file=sys.stderr, flush=True)
            _fetch(lock, patched.links(text), [pin for pin in wanted if pin.name == "torch"])
            there = _matching(wanted)
    return there


def _fetch(lock: Path, links: list[str], torch: list[Pin]) -> None:
    """By pip and its settings; PyTorch, where those have none, from its own index."""
    flags = ("-qq", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:")
    words = (*pip(), "download", *flags, *links, f"--dest={WHEELS}", "-r", str(lock))
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode and torch:
        more = torch_links(str(torch[0]), set(torch[0].hashes))
        done = subprocess.run([*words, *more], capture_output=True, text=True)
    if done.returncode:
        raise StageError(done.stderr.strip(), "pip download", ADVICE, Exit.ENVIRONMENT)


def _matching(wanted: list[Pin]) -> list[Path]:
    names = {(pin.name, pin.version) for pin in wanted}
    return sorted(wheel for wheel in WHEELS.glob("*.whl") if _named(wheel) in names)


def _named(wheel: Path) -> tuple[str, str]:
    """Name and version of a wheel's file."""
    name, version = wheel.name.split("-")[:2]
    return plain(name), version


def find_links(name: str) -> list[str]:
    """Wheels of a package in the folders that pip is pointed to, for `make doctor`."""
    folders = [Path(place) for place in settings().get("find-links", []) if Path(place).is_dir()]
    return [str(wheel) for folder in folders for wheel in sorted(folder.glob(f"{name}-*.whl"))]
