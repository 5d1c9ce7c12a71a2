"""What a receipt says of the host, also on one that lacks what only Linux has."""

import os
import platform
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from avatarmake.contract import provenance
from avatarmake.contract.provenance import PeakMemory, host_facts


def test_peak_memory_sees_a_large_array():
    with PeakMemory(interval=0.05) as memory:
        block = bytearray(os.urandom(1) * 200_000_000)
        time.sleep(0.3)
        del block
    assert memory.peak_mb > 200


def test_memory_without_shared_pages_told_apart(monkeypatch):
    """macOS knows what is a process's own, and may keep even that to itself."""
    process = psutil.Process()
    monkeypatch.setattr(process, "memory_full_info", lambda: SimpleNamespace(rss=3_000_000, uss=2_000_000))
    assert provenance._memory(process) == 2_000_000
    monkeypatch.setattr(process, "memory_info", lambda: SimpleNamespace(rss=4_000_000))
    monkeypatch.setattr(process, "memory_full_info", refused)
    assert provenance._memory(process) == 4_000_000


def refused():
    raise psutil.AccessDenied


@pytest.mark.parametrize("listed", [None, "processor : 0\nBogoMIPS : 50\n"], ids=["macos", "aarch64"])
def test_a_processor_without_a_name_is_named_by_its_kind(monkeypatch, tmp_path, listed):
    if listed:
        (tmp_path / "cpuinfo").write_text(listed)
    real = Path
    monkeypatch.setattr(provenance, "Path", lambda name: tmp_path / "cpuinfo" if "cpuinfo" in name else real(name))
    monkeypatch.setattr(platform, "processor", str)
    assert host_facts()["cpu"] == platform.machine()
