"""What an image is built from: exactly the files that its stage needs, in a tar that is the same on every checkout.

Times, owners and modes are fixed, so that Docker's cache and the image's id depend on content alone; an edit in one
stage changes the context of no other.
"""

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from avatarmake import ROOT
from avatarmake.contract.closure import closure
from avatarmake.environments import pytorch3d, wheels
from avatarmake.errors import Exit, StageError


def files(stage: str) -> list[Path]:
    """The stage's Dockerfile, lock and sources: all of the repository that its image depends on."""
    needed = [ROOT / "docker" / stage / name for name in ("Dockerfile", "requirements.lock")]
    for path in needed:
        if not path.exists():
            raise StageError("is not there", path, "Run: make lock", Exit.ENVIRONMENT)
    return needed + closure(stage)


def digest(stage: str, base: str) -> str:
    """What the image is made of, in one hash: the files by name and content, and the base image's id."""
    h = hashlib.sha256(base.encode())
    for name, path in _named(stage).items():
        h.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def _named(stage: str) -> dict[str, Path]:
    """Name in the context -> file: the repository's, and the wheels that the user adds. The lock stands for its own."""
    added = {f"pytorch3d/{wheel.name}": wheel for wheel in pytorch3d.wheels(stage)}
    return {path.relative_to(ROOT).as_posix(): path for path in files(stage)} | added


def pack(stage: str) -> IO[bytes]:
    """The build context: the stage's files, and the wheels that its lock and the user ask for."""
    packed = tempfile.TemporaryFile()
    needed = wheels.wheels(ROOT / "docker" / stage / "requirements.lock")
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, path in {**_named(stage), **{f"wheels/{wheel.name}": wheel for wheel in needed}}.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime, entry.size = 0o644, 1, path.stat().st_size
            with path.open("rb") as f:
                tar.addfile(entry, f)
    packed.seek(0)
    return packed
