"""What an image is built from: exactly the files that its stage needs, in a tar that is the same on every checkout.

In two halves: the packages, and the sources upon those. Times, owners and modes are fixed, so that Docker's cache and
the image's id depend on content alone; an edit in one stage changes the context of no other.
"""

import hashlib
import io
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

from avatarmake import ROOT
from avatarmake.contract import kinds
from avatarmake.contract.closure import closure
from avatarmake.contract.kinds import CPU
from avatarmake.environments import pytorch3d, wheels
from avatarmake.errors import Exit, StageError


def files(stage: str, kind: str = CPU) -> list[Path]:
    """The stage's Dockerfile, lock and sources: all of the repository that its image of a kind depends on."""
    needed = [ROOT / "docker" / stage / "Dockerfile", _lock(stage, kind)]
    for path in needed:
        if not path.exists():
            raise StageError("is not there", path, "Run: make lock", Exit.ENVIRONMENT)
    return needed + closure(stage)


def digest(stage: str, base: str, kind: str = CPU) -> str:
    """What the image is made of, in one hash: the files by name and content, and the base image's id."""
    return _hash(base, _packages(stage, kind) | _sources(stage, kind))


def environment_digest(stage: str, base: str, kind: str = CPU) -> str:
    """What the image of the stage's packages is made of, likewise."""
    return _hash(base, {"Dockerfile": _halves(stage)[0], **_packages(stage, kind)})


def pack(stage: str, kind: str = CPU) -> IO[bytes]:
    """The build context of the stage's sources, upon the image that ARG ENVIRONMENT names.

    They are below `root/`, which lies upon the image's own root, folders and all: Docker gives a folder that it has to
    make the time at which it does.
    """
    named = {f"root/app/{name}": path for name, path in _sources(stage, kind).items()}
    return _pack({"Dockerfile": _halves(stage)[1], **named})


def pack_environment(stage: str, kind: str = CPU) -> IO[bytes]:
    """The build context of the stage's packages: its lock, and the wheels that this and the user ask for."""
    needed = wheels.wheels(_lock(stage, kind))
    named = {f"wheels/{wheel.name}": wheel for wheel in needed}
    return _pack({"Dockerfile": _halves(stage)[0], **_packages(stage, kind), **named})


def _lock(stage: str, kind: str) -> Path:
    return ROOT / "docker" / stage / kinds.lock_file(stage, kind).name


def _halves(stage: str) -> tuple[bytes, bytes]:
    """The Dockerfile up to its part `environment`, and what follows as one of its own.

    The classic builder runs every part up to the last, whether it has changed or not; so it gets one half at a time.
    """
    text = (ROOT / "docker" / stage / "Dockerfile").read_bytes()
    packages, _, sources = text.rpartition(b"\nFROM environment\n")
    return packages, b"ARG ENVIRONMENT\nFROM ${ENVIRONMENT}\n" + sources


def _sources(stage: str, kind: str) -> dict[str, Path]:
    """Name in the context -> file of the repository."""
    return {path.relative_to(ROOT).as_posix(): path for path in files(stage, kind)}


def _packages(stage: str, kind: str) -> dict[str, Path]:
    """The lock, which stands for its own wheels, and the wheels that the user adds.

    Of whatever kind, it is the Dockerfile's requirements.lock. Beside the sources it keeps its name.
    """
    added = pytorch3d.wheels(stage, kind)
    return {f"docker/{stage}/requirements.lock": _lock(stage, kind)} | {f"pytorch3d/{w.name}": w for w in added}


def _hash(base: str, named: dict[str, Path | bytes]) -> str:
    h = hashlib.sha256(base.encode())
    for name, content in sorted(named.items()):
        h.update(f"{name}\0".encode() + hashlib.sha256(_bytes(content)).digest())
    return h.hexdigest()


def _bytes(content: Path | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _pack(named: dict[str, Path | bytes]) -> IO[bytes]:
    packed = tempfile.TemporaryFile()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in sorted({parent for name in named for parent in PurePosixPath(name).parents}):
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, 1
            tar.addfile(entry)
        for name, content in named.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = 0o644, 1
            with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as f:
                entry.size = f.seek(0, io.SEEK_END)
                f.seek(0)
                tar.addfile(entry, f)
    packed.seek(0)
    return packed
