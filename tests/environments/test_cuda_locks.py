"""The locks for CUDA: what they hold, that the registry has all of it, and, where asked for, that it compiles.

`AVATARMAKE_TEST_INSTALL=1` installs train's for CUDA 13 as on a GPU host (2.6 GB to fetch, 4.3 GB on disk) and compiles
a kernel with it. No GPU is needed.
"""

import os
import re
import subprocess

import pytest

from avatarmake import registry
from avatarmake.contract import kinds
from avatarmake.contract.kinds import KINDS
from avatarmake.contract.pipeline import STAGES
from avatarmake.contract.stage import load
from avatarmake.environments import locks, venv
from avatarmake.environments.pins import pins
from avatarmake.errors import StageError

CUDA = [(name, kind) for name in (*STAGES, "test") for kind in KINDS[1:] if venv.lock_file(name, kind).exists()]
TORCH = {"cuda12": "2.10.0", "cuda13": "2.13.0"}


def test_stages_that_gain_by_a_gpu_have_a_lock_for_each_kind():
    assert {name for name, _ in CUDA} == {stage for stage in STAGES if load(stage).gpu != "none"} | {"test"}
    assert {name: kinds.of(name) for name, _ in CUDA if name != "test"} == dict.fromkeys(
        ("flame_head_tracker", "train", "flashavatar"), KINDS
    )


@pytest.mark.parametrize(("name", "kind"), CUDA)
def test_they_differ_from_the_lock_for_the_cpu_in_cuda_alone(name, kind):
    locked = {pin.name: pin.version for pin in pins(venv.lock_file(name, kind).read_text())}
    cpu = {pin.name: pin.version for pin in pins(venv.lock_file(name).read_text())}
    ours = {name: version for name, version in locked.items() if not name.startswith(locks.OF_CUDA)}
    assert ours.items() <= cpu.items() | {("packaging", locked.get("packaging"))}, "numba-cuda's one more"
    assert locked["torch"] == TORCH[kind] and "triton" not in locked
    assert any(word.endswith(f"cu{kind[-2:]}") or kind == "cuda13" for word in locked)
    assert ("numba-cuda" in locked) == (name != "flame_head_tracker")
    text = venv.lock_file(name, kind).read_text()
    assert "://" not in text and f"\ntorch==={TORCH[kind]} " in text, "another build has the same number"
    assert all(pin.hashes for pin in pins(text))


@pytest.mark.parametrize(("name", "kind"), CUDA)
def test_the_registry_has_all_of_it_for_linux_and_no_other_build_is_taken(name, kind, tmp_path):
    """Also where pip's settings have PyTorch's build for the CPU, as they may on any machine."""
    text = venv.lock_file(name, kind).read_text()
    blocks = re.findall(r"^[\w.-]+==[^\n]*\n(?: +--hash[^\n]*\n?)+", text, re.MULTILINE)
    (tmp_path / "asked.lock").write_text("".join(block for block in blocks if "+avatarmake" not in block))
    flags = ("--dry-run", "--no-deps", "--require-hashes", "--only-binary=:all:", *locks.PLATFORM)
    words = ("pip", "install", *flags, f"--target={tmp_path / 'target'}", *registry.uv_flags())
    try:
        registry.uv(*words, "-r", str(tmp_path / "asked.lock"))
    except StageError as e:
        unreached = re.search("error sending request|dns error|Failed to fetch|no index", e.what)
        if unreached or os.environ.get("UV_OFFLINE"):
            pytest.skip("needs the package registry")
        raise


KERNEL = """
import torch
from numba import cuda, types

def scale(a, factor):
    i = cuda.grid(1)
    if i < a.size:
        a[i] *= factor

for capability in ((7, 5), (8, 0), (9, 0), (10, 0), (12, 0)):
    text, _ = cuda.compile_ptx(scale, (types.float32[::1], types.float32), cc=capability)
    assert f".target sm_{capability[0]}{capability[1]}" in text and ".entry" in text
print(torch.version.cuda, torch._C._cuda_getArchFlags())
"""


@pytest.mark.skipif("AVATARMAKE_TEST_INSTALL" not in os.environ, reason="AVATARMAKE_TEST_INSTALL=1: gigabytes")
def test_train_s_for_cuda_13_installs_and_compiles_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "HOME", tmp_path / ".venv")
    python = venv.python("train", "cuda13")
    assert python.is_relative_to(tmp_path / ".venv" / "train-cuda13")
    done = subprocess.run([python, "-c", KERNEL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("13.0 ") and {"sm_75", "sm_90"} <= set(done.stdout.split())
