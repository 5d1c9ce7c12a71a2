"""What this host has: memory and the cgroup's limit on it, GPU, disk. For the container's limits and `make doctor`."""

import shutil
from pathlib import Path

import psutil


def memory_limit() -> int:
    """Bytes that a stage may use: the least of the machine's memory and the limits of this process's cgroups."""
    return min([machine_memory(), *_cgroup_limits()])


def machine_memory() -> int:
    return psutil.virtual_memory().total


def container_memory() -> int:
    """Bytes that a container gets: what this process may use, less a twentieth for the engine and the host."""
    return int(memory_limit() * 0.95)


def _cgroup_limits(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """The memory limits of this process's cgroup and its parents, version 1 or 2; none where there is no limit."""
    limits = []
    for line in proc.read_text().splitlines() if proc.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / path.lstrip("/")
        for place in [folder, *folder.parents]:
            if not place.is_relative_to(top):
                break
            text = (place / name).read_text().strip() if (place / name).exists() else "max"
            if text.isdigit() and int(text) < 1 << 60:  # version 1 writes "no limit" as a huge number
                limits.append(int(text))
    return limits


def gpu() -> str | None:
    """GPU names and driver version, from the driver's own files; None without an NVIDIA driver."""
    version = Path("/proc/driver/nvidia/version")
    if not version.exists():
        return None
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        names += [line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("Model")]
    return f"{', '.join(names) or 'no GPU'} ({version.read_text().splitlines()[0].split(':', 1)[1].strip()})"


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
