"""`make base`: an image like python:3.11-slim-bookworm from Debian's archive, where no image registry is reached."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from avatarmake import host
from avatarmake.engine import docker
from avatarmake.errors import Exit, StageError

SUITE = "bookworm"  # its python3 is 3.11
PACKAGES = "python3,python3-venv,ca-certificates"
LEFT_OUT = "var/cache/apt var/lib/apt/lists var/log usr/share/doc usr/share/locale usr/share/man dev".split()


def make() -> str:
    """debootstrap into a scratch folder and import it; returns the image's id. Needs root, as debootstrap does."""
    docker.client().close()
    if shutil.which("debootstrap") is None:
        raise StageError("debootstrap is not there", next="Type: apt-get install debootstrap", exit=Exit.ENVIRONMENT)
    if os.getuid() != 0:
        raise StageError("debootstrap needs root", next="Type: sudo make base", exit=Exit.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as scratch:
        root, archive = Path(scratch) / "root", Path(scratch) / "base.tar"
        print(f"base: Debian {SUITE} by debootstrap, about a minute", file=sys.stderr, flush=True)
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), *mirror())
        without = [f"--exclude=./{path}/*" for path in LEFT_OUT]
        _run("tar", "--numeric-owner", "--sort=name", "-C", str(root), *without, "-cf", str(archive), ".")
        print(f"base: importing {host.size(archive.stat().st_size)}", file=sys.stderr, flush=True)
        return docker.import_base(archive)


def mirror(sources: Path = Path("/etc/apt")) -> list[str]:
    """The archive that this host's apt takes bookworm from; nothing (debootstrap's own default) on another system."""
    for path in [sources / "sources.list", *sorted(sources.glob("sources.list.d/*"))]:
        text = path.read_text() if path.is_file() else ""
        lines = re.findall(rf"^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+{SUITE}\s", text, re.MULTILINE)
        for block in re.split(r"\n\s*\n", text):
            uri = re.search(r"^URIs:\s*(\S+)", block, re.MULTILINE)
            if uri and re.search(rf"^Suites:.*\b{SUITE}(\s|$)", block, re.MULTILINE):
                lines.append(uri[1])
        if lines:
            return lines[:1]
    return []


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        said = "\n  ".join((done.stdout + done.stderr).splitlines()[-5:])
        raise StageError(f"{words[0]} ended with {done.returncode}:\n  {said}", exit=Exit.ENVIRONMENT)
