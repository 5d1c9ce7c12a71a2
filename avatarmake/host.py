"""What this host has: memory and the cgroup's limit on it, disk. For the container's limits and `make doctor`."""

import shutil
from pathlib import Path

import psutil

from avatarmake.limits import memory_limits


def memory_limit() -> int:
    """Bytes that a stage may use: the least of the machine's memory and the limits of this process's cgroups."""
    return min([machine_memory(), *memory_limits()])


def machine_memory() -> int:
    return psutil.virtual_memory().total


def container_memory() -> int:
    """Bytes that a container gets: what this process may use, less a twentieth for the engine and the host."""
    return int(memory_limit() * 0.95)


def disk_free(path: Path) -> int:
    """Bytes free where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def size(count: float) -> str:
    """Bytes in words: 1.2 GB (10^9)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5 or unit == "GB":
            break
        count /= 1000
    return f"{count:.1f} {unit}" if unit == "GB" or count < 9.95 else f"{count:.0f} {unit}"
