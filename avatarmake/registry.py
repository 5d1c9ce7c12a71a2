"""How this host reaches the package registry: pip's own settings, which uv is told too.

Nothing here names a registry. Whatever `pip config list` and the PIP_* variables say goes for every environment, so
a mirror, a folder of wheels (PIP_FIND_LINKS) or a proxy's CA bundle is set once, in pip's own way.
"""

import contextlib
import functools
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from avatarmake import ROOT
from avatarmake.errors import Exit, StageError
from avatarmake.files.locking import locked

SETTINGS = ("index-url", "extra-index-url", "find-links", "cert")
HOME = ROOT / ".venv"
OWN_INDEX = "--torch-backend=cpu"  # uv's name for PyTorch's own index for the CPU
ADVICE = "If the registry cannot be reached, give wheels or an index in pip's own way: PIP_FIND_LINKS, PIP_INDEX_URL"


@functools.cache
def settings() -> dict[str, list[str]]:
    """pip's settings on this host by name, the environment's before the configuration files'."""
    listed = subprocess.run([*pip(), "config", "list"], capture_output=True, text=True)
    found: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        match = re.fullmatch(r"(?:global|install|download)\.([a-z-]+)='(.*)'", line.strip())
        if match and match[1] in SETTINGS:
            found[match[1]] = re.split(r"\s+|\\n", match[2].strip())
    for name in SETTINGS:
        if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
            found[name] = value.split()
    return found


def uv(*words: str, cwd: Path | None = None) -> str:
    """Run this host's own uv with pip's settings; returns what it printed. Raises StageError with uv's own words."""
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    if cert := settings().get("cert"):
        environment.setdefault("SSL_CERT_FILE", cert[0])
    if timeout := os.environ.get("PIP_DEFAULT_TIMEOUT"):
        environment.setdefault("UV_HTTP_TIMEOUT", timeout)
    done = subprocess.run([_uv(), *words], capture_output=True, text=True, env=environment, cwd=cwd)
    if done.returncode:
        raise StageError(
            done.stderr.strip() or f"uv ended with {done.returncode}",
            " ".join(words[:2]),
            ADVICE,
            Exit.ENVIRONMENT,
        )
    return done.stdout


def uv_with_torch(*words: str, cwd: Path | None = None) -> str:
    """`uv` for packages that may be PyTorch's: what pip's settings lack comes from PyTorch's own index for the CPU.

    The registry that everybody has holds the CUDA build only, under the same number. uv knows that other index by a
    name of its own; the hash in the lock says whether it is the right file, wherever it came from.
    """
    try:
        return uv(*words, cwd=cwd)
    except StageError:
        return uv(*words, OWN_INDEX, cwd=cwd)


def torch_links(pin: str, hashes: set[str]) -> list[str]:
    """pip's option for PyTorch's wheels of these hashes: their addresses, which uv knows and pip does not."""
    with tempfile.NamedTemporaryFile("w", suffix=".in") as asked:
        asked.write(pin + "\n")
        asked.flush()
        flags = ("--quiet", "--no-deps", "--no-header", "--format=pylock.toml", "--python-version=3.11")
        found = tomllib.loads(uv("pip", "compile", *flags, *uv_flags(), OWN_INDEX, asked.name))
    wheels = found["packages"][0].get("wheels", [])
    return [f"--find-links={wheel['url']}" for wheel in wheels if wheel["hashes"].get("sha256") in hashes]


def uv_flags() -> list[str]:
    """pip's settings as uv's flags. An index on this disk is left out: uv wants every package to be in it."""
    found = settings()
    flags = [f"--find-links={place}" for place in found.get("find-links", [])]
    flags += [f"--default-index={found['index-url'][0]}"] if "index-url" in found else []
    extra = [f"--index={url}" for url in found.get("extra-index-url", []) if not url.startswith("file:")]
    return flags + (extra + ["--index-strategy=unsafe-best-match"] if extra else [])


def pip() -> tuple[str, ...]:
    """The host environment's pip: the one that make set up. The others are made by uv and have none."""
    host = HOME / "host" / "bin" / "python"
    return (str(host) if host.exists() else sys.executable, "-m", "pip")


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """One maker of an environment at a time, for `make -j` and for two terminals."""
    HOME.mkdir(exist_ok=True)
    with locked(HOME / f".{name}.lock"):
        yield
