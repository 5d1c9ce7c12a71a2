"""What an image is built from: exactly the files that its stage needs, in a tar that is the same on every checkout.

Times, owners and modes are fixed, so that Docker's cache and the image's id depend on content alone; an edit in one
stage changes the context of no other.
"""

import hashlib
import io
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from stages.contract import ROOT, source_files
from stages.engine import registry
from stages.errors import Exit, StageError


def files(stage: str) -> list[Path]:
    """The stage's Dockerfile, lock and sources: all that its image depends on besides the base."""
    needed = [ROOT / "docker" / stage / name for name in ("Dockerfile", "requirements.lock")]
    for path in needed:
        if not path.exists():
            raise StageError("is not there", path, "Run: make lock", Exit.ENVIRONMENT)
    return needed + source_files(stage)


def digest(stage: str, base: str) -> str:
    """What the image is made of, in one hash: the files by name and content, and the base image's id."""
    h = hashlib.sha256(base.encode())
    for path in files(stage):
        h.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def pack(stage: str) -> IO[bytes]:
    """The build context. build/ is for the build stage only: wheels of this host and its CA bundle, if any."""
    packed = tempfile.TemporaryFile()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in files(stage):
            _add(tar, path.relative_to(ROOT).as_posix(), path)
        authorities = registry.certificates()
        _add(tar, "build/ca.crt", authorities or io.BytesIO())
        _add(tar, "build/wheels/README", io.BytesIO(b"Wheels of the host that made this image's build context.\n"))
        for wheel in registry.locked_wheels(ROOT / "docker" / stage / "requirements.lock"):
            _add(tar, f"build/wheels/{wheel.name}", wheel)
    packed.seek(0)
    return packed


def _add(tar: tarfile.TarFile, name: str, content: Path | io.BytesIO) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = 0o644, 1  # 0 would be "no time" to some tools
    if isinstance(content, Path):
        entry.size = content.stat().st_size
        with content.open("rb") as f:
            tar.addfile(entry, f)
    else:
        entry.size = len(content.getbuffer())
        tar.addfile(entry, content)


def build_arguments() -> dict[str, str]:
    """pip's settings for the build stage: indexes and pages of wheels that a container can reach too."""
    found, arguments = registry.settings(), {}
    for name in ("index-url", "extra-index-url", "find-links"):
        places = [place for place in found.get(name, []) if place.startswith(("http:", "https:"))]
        if places:
            arguments["PIP_" + name.upper().replace("-", "_")] = " ".join(places)
    if registry.certificates():
        arguments["PIP_CERT"] = "/build/ca.crt"
    return arguments
