"""How this host reaches the package registry: pip's own settings, handed to uv and to image builds.

Nothing here names a registry. Whatever `pip config list` and the PIP_* variables say goes for every environment, so
a mirror, a folder of wheels (PIP_FIND_LINKS) or a proxy's CA bundle is set once, in pip's own way.
"""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

from stages.errors import Exit, StageError

SETTINGS = ("index-url", "extra-index-url", "find-links", "cert")


@functools.cache
def settings() -> dict[str, list[str]]:
    """pip's settings on this host by name, the environment's before the configuration files'."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
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
            "If the registry cannot be reached, give wheels or an index in pip's way: PIP_FIND_LINKS, PIP_INDEX_URL",
            Exit.ENVIRONMENT,
        )
    return done.stdout


def uv_flags() -> list[str]:
    """pip's settings as uv's flags. An index on this disk is left out: uv wants every package to be in it."""
    found = settings()
    flags = [f"--find-links={place}" for place in found.get("find-links", [])]
    flags += [f"--default-index={found['index-url'][0]}"] if "index-url" in found else []
    extra = [f"--index={url}" for url in found.get("extra-index-url", []) if not url.startswith("file:")]
    return flags + (extra + ["--index-strategy=unsafe-best-match"] if extra else [])


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def locked_wheels(lock: Path) -> list[Path]:
    """The wheels in this host's find-links folders that `lock` asks for, by name and version."""
    wanted = set(re.findall(r"^([A-Za-z0-9._-]+==[^\s\\;]+)", lock.read_text(), re.MULTILINE))
    wanted = {tuple(re.sub(r"[-_.]+", "_", part).lower() for part in line.split("==")) for line in wanted}
    folders = [Path(place) for place in settings().get("find-links", []) if Path(place).is_dir()]
    wheels = sorted(wheel for folder in folders for wheel in folder.glob("*.whl"))
    return [w for w in wheels if tuple(re.sub(r"[-_.]+", "_", part).lower() for part in w.name.split("-")[:2]) in wanted]


def certificates() -> Path | None:
    """An extra CA bundle for builds behind a proxy: EXTRA_CA, or what pip and OpenSSL are told to use."""
    for path in (os.environ.get("EXTRA_CA"), *settings().get("cert", []), os.environ.get("SSL_CERT_FILE")):
        if path:
            if not Path(path).is_file():
                raise StageError("there is no such CA bundle", path, "Give an existing one: EXTRA_CA=...", Exit.USAGE)
            return Path(path)
    return None
