"""How much of the machine this process may use: what Linux's control groups (a container's, a batch job's) leave it.

Versions 1 and 2. Nothing is limited where there are no such files: on macOS, say.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

PROC, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def cores() -> int:
    """How many cores this process may use: those it is bound to (on Linux), less what a container is held to."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([bound, *core_limits()])


def memory_limits(proc: Path = PROC, root: Path = ROOT) -> list[int]:
    """Bytes, for this process's group and those above it that set a limit."""
    found = []
    for folder in _folders("memory", proc, root):
        text = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
        if text.isdigit() and int(text) < 1 << 60:  # version 1 writes "no limit" as a huge number
            found.append(int(text))
    return found


def core_limits(proc: Path = PROC, root: Path = ROOT) -> list[int]:
    """Cores whose time this process's group and those above it may use, a part of one counting as one."""
    found = []
    for folder in _folders("cpu", proc, root):
        files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
        quota, period, *_ = [*(_read(folder / "cpu.max") or " ".join(map(_read, files))).split(), "", ""]
        if quota.isdigit() and period.isdigit():  # no limit is "max", or -1
            found.append(max(math.ceil(int(quota) / int(period)), 1))
    return found


def _folders(controller: str, proc: Path, root: Path) -> Iterator[Path]:
    """This process's group and those above it, wherever the controller's files may be."""
    for line in proc.read_text().splitlines() if proc.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / controller if controllers else root
        folder = top / path.lstrip("/")
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(top))


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
