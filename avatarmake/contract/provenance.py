"""Where a result came from: host, package versions, and the memory it took."""

import platform
import threading
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from avatarmake.limits import cores


@cache
def package_versions() -> dict[str, str]:
    """Every distribution of this environment and its version."""
    headers = (d.metadata for d in metadata.distributions())  # each is parsed when it is asked for
    return dict(sorted((header["Name"], header["Version"]) for header in headers))


def host_facts() -> dict:
    """CPU, memory, GPU and driver of the machine, as the stage saw them."""
    facts = {
        "cpu": _cpu_name(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "gpu": None,
    }
    driver = Path("/proc/driver/nvidia/version")
    if driver.exists():
        gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
        names = [line.split(":", 1)[1].strip() for p in gpus for line in p.read_text().splitlines() if "Model" in line]
        facts["gpu"] = {"names": names, "driver": driver.read_text().splitlines()[0]}
    return facts


def _cpu_name() -> str:
    listed = Path("/proc/cpuinfo")  # Linux's; on aarch64 without a name
    for line in listed.read_text().splitlines() if listed.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class PeakMemory:
    """Peak memory of this process and its children together, in MB (10^6 bytes), sampled twice a second.

    Proportional set size where the system has it (Linux), so that pages shared by forked workers count once; else what
    is each process's own (macOS).
    """

    def __init__(self, interval: float = 0.5):
        self.interval, self.peak_mb = interval, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _sample(self) -> None:
        while not self._stop.wait(self.interval):
            self._look()

    def _look(self) -> None:
        me, total = psutil.Process(), 0
        for process in [me, *me.children(recursive=True)]:
            try:
                total += _memory(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self.peak_mb = max(self.peak_mb, round(total / 1e6, 1))


def _memory(process: psutil.Process) -> int:
    """Bytes that end with this process."""
    try:
        info = process.memory_full_info()
    except psutil.AccessDenied:
        return process.memory_info().rss
    return info.pss if hasattr(info, "pss") else info.uss
