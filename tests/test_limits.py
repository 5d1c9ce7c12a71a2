"""What a container or a batch job is held to, from files like those that Linux has."""

import os
from pathlib import Path

from avatarmake import limits
from avatarmake.limits import core_limits, cores, memory_limits


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_version_2_by_every_parent_that_sets_a_limit(tmp_path):
    write(tmp_path / "cgroup", "0::/pod/container\n")
    write(tmp_path / "fs/pod/memory.max", "4000000000\n")
    write(tmp_path / "fs/pod/container/memory.max", "max\n")
    write(tmp_path / "fs/pod/cpu.max", "250000 100000\n")
    write(tmp_path / "fs/pod/container/cpu.max", "max 100000\n")
    assert memory_limits(tmp_path / "cgroup", tmp_path / "fs") == [4000000000]
    assert core_limits(tmp_path / "cgroup", tmp_path / "fs") == [3]


def test_version_1_and_its_words_for_none(tmp_path):
    write(tmp_path / "cgroup", "4:cpu,cpuacct:/pod\n3:memory:/pod\n0::/\n")
    write(tmp_path / "fs/memory/pod/memory.limit_in_bytes", "2000000000\n")
    write(tmp_path / "fs/memory/memory.limit_in_bytes", "9223372036854771712\n")
    for folder, quota in (("cpu/pod", "50000"), ("cpu", "-1")):
        write(tmp_path / "fs" / folder / "cpu.cfs_quota_us", quota)
        write(tmp_path / "fs" / folder / "cpu.cfs_period_us", "100000")
    assert memory_limits(tmp_path / "cgroup", tmp_path / "fs") == [2000000000]
    assert core_limits(tmp_path / "cgroup", tmp_path / "fs") == [1]


def test_a_container_that_sees_itself_as_the_top(tmp_path):
    """Version 1 names the host's path of a group whose files the container has at the top."""
    write(tmp_path / "cgroup", "4:cpu:/docker/abc\n3:memory:/docker/abc\n")
    write(tmp_path / "fs/memory/memory.limit_in_bytes", "1000000000\n")
    write(tmp_path / "fs/cpu/cpu.cfs_quota_us", "200000\n")
    write(tmp_path / "fs/cpu/cpu.cfs_period_us", "100000\n")
    assert memory_limits(tmp_path / "cgroup", tmp_path / "fs") == [1000000000]
    assert core_limits(tmp_path / "cgroup", tmp_path / "fs") == [2]


def test_nothing_is_limited_where_there_are_no_groups(tmp_path):
    assert memory_limits(tmp_path / "none", tmp_path) == core_limits(tmp_path / "none", tmp_path) == []


def test_cores_are_those_of_the_process_not_of_the_machine(monkeypatch):
    monkeypatch.setattr(limits, "core_limits", list)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert cores() == 3
    monkeypatch.setattr(limits, "core_limits", lambda: [8, 2])  # docker run --cpus=2
    assert cores() == 2


def test_cores_where_a_process_cannot_be_bound(monkeypatch):
    """macOS."""
    monkeypatch.setattr(limits, "core_limits", list)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
