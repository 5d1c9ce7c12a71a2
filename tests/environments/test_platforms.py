"""The locks hold wheels for the machines that are said to be served; the registry is asked, nothing is installed."""

import os
import re

import pytest

from avatarmake import registry
from avatarmake.environments import platforms, venv
from avatarmake.environments.pins import pins
from avatarmake.errors import Exit, StageError

UV_NAMES = {
    ("linux", "x86_64"): "x86_64-manylinux_2_28",
    ("linux", "aarch64"): "aarch64-manylinux_2_28",
    ("darwin", "arm64"): "aarch64-apple-darwin",
}
LOCK = venv.lock_file("test").read_text()  # the union of all
ELSEWHERE = {"chumpy", "torch"}  # made here; on an index that need not be in reach of a test


def resolve(names: set[str], machine: tuple[str, str], place) -> str:
    """uv's complaint about the pinned wheels of these packages on that machine, or nothing."""
    blocks = re.findall(r"^[\w.-]+==[^\n]*\n(?: +--hash[^\n]*\n?)+", LOCK, re.MULTILINE)
    asked = [block for block in blocks if {pin.name for pin in pins(block, machine[0])} & names]
    (place / "asked.lock").write_text("".join(asked))
    flags = ("--dry-run", "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version=3.11")
    where = (f"--target={place / 'target'}", f"--python-platform={UV_NAMES[machine]}")
    try:
        registry.uv("pip", "install", *flags, *where, *registry.uv_flags(), "-r", str(place / "asked.lock"))
    except StageError as e:
        return e.what
    return ""


@pytest.mark.parametrize("machine", platforms.SERVED, ids="-".join)
def test_there_are_wheels_but_for_what_is_said(machine, tmp_path, monkeypatch):
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", "14.0")
    missing = set(platforms.SERVED[machine])
    said = resolve({pin.name for pin in pins(LOCK, machine[0])} - ELSEWHERE - missing, machine, tmp_path)
    if re.search("error sending request|dns error|Failed to fetch|no index", said) or os.environ.get("UV_OFFLINE"):
        pytest.skip("needs the package registry")
    assert not said
    for name in missing:
        assert "no wheels with a matching platform tag" in resolve({name}, machine, tmp_path)


@pytest.mark.parametrize("machine", platforms.SERVED, ids="-".join)
def test_every_machine_has_one_pytorch(machine):
    torch = [pin for pin in pins(LOCK, machine[0]) if pin.name == "torch"]
    assert len(torch) == 1
    assert ("+cpu" in torch[0].version) == (machine[0] == "linux"), "macOS's own build is one for the CPU by nature"


def test_a_stage_that_cannot_run_here_says_which_package_and_what_to_do(monkeypatch):
    monkeypatch.setattr(platforms, "here", lambda: ("linux", "aarch64"))
    without = {"imported", "frames", "track", "flame_head_tracker", "mask", "live"}
    assert set(platforms.without(platforms.here())) == without
    platforms.check("train")
    with pytest.raises(StageError, match="mediapipe has no wheel for linux on aarch64.*on a Mac") as raised:
        platforms.check("track")
    assert raised.value.exit == Exit.ENVIRONMENT
