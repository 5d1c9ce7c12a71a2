"""What a lock file pins, for one system."""

import re
from typing import NamedTuple


class Pin(NamedTuple):
    name: str  # in lower case, with hyphens
    version: str
    hashes: tuple[str, ...]  # sha256

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


_HASHES = r"((?:[ \t]*\\?\s+--hash=sha256:\w+)*)"
_LINE = re.compile(rf'^([\w.-]+)===?([^\s\\;]+)(?: *; *sys_platform == "(\w+)")?{_HASHES}', re.MULTILINE)


def pins(lock: str, system: str = "linux") -> list[Pin]:
    """The packages that a lock file's text asks for on `system`, as Python's sys.platform names it."""
    return [
        Pin(plain(name), version, tuple(re.findall(r"sha256:(\w+)", hashes)))
        for name, version, only, hashes in _LINE.findall(lock)
        if only in ("", system)
    ]


def plain(name: str) -> str:
    """A package's name as the registry spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()
