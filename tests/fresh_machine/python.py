"""A Python 3.11 as uv fetches it, made of the one that runs this; and a `python3` of another version."""

import hashlib
import json
import platform
import sys
import tarfile
from pathlib import Path

LEFT_OUT = {"site-packages", "test", "tests", "__pycache__", "idlelib", "turtledemo"}


def relocatable() -> bool:
    """Whether the Python that runs this lies in a folder of its own, as pyenv's and uv's do and Debian's does not."""
    return Path(sys.base_prefix) not in (Path("/usr"), Path("/usr/local"))


def downloads(place: Path) -> str:
    """The list that uv chooses from, as a URL for UV_PYTHON_DOWNLOADS_JSON_URL: one build, in `place`."""
    archive = place / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for part in ("bin/python3.11", "include", "lib"):
            tar.add(Path(sys.base_prefix) / part, f"python/{part}", filter=_kept)
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, "python3.11"
        tar.addfile(link)
    major, minor, patch = sys.version_info[:3]
    build = {
        "name": "cpython",
        "arch": {"family": platform.machine(), "variant": None},
        "os": "linux",
        "libc": "gnu",
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": archive.as_uri(),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None,
        "build": "1",
    }
    listed = place / "downloads.json"
    listed.write_text(json.dumps({f"cpython-{major}.{minor}.{patch}-linux-{platform.machine()}-gnu": build}))
    return listed.as_uri()


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    name = Path(entry.name)
    return None if name.name in LEFT_OUT or name.suffix == ".a" or name.name.startswith("config-3") else entry


def another(place: Path) -> Path:
    """An executable that says it is Python 3.10 and can all the same make environments: as Ubuntu 22.04 has it."""
    script = place / "python3.10"
    real = getattr(sys, "_base_executable", sys.executable)
    script.write_text(
        '#!/bin/sh\ncase "$*" in\n*version_info*) exit 1 ;;\n*python_version*) echo 3.10.12 ;;\n'
        f'*) exec {real} "$@" ;;\nesac\n'
    )
    script.chmod(0o755)
    return script
