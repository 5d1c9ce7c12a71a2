"""PyTorch's build for the CPU, from where nothing is set: wheels of a few bytes on a stand-in registry on loopback."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatarmake import registry
from avatarmake.environments import locks, venv, wheels
from avatarmake.environments.pins import pins
from avatarmake.errors import StageError
from tests.environments import wheels as small
from tests.fresh_machine.standin import PYTORCH, REGISTRY, Standin

TAGS = "cp311-cp311-manylinux_2_28_x86_64"


def torch(folder: Path, version: str, said: str) -> Path:
    return small.make(folder, f"torch-{version}", TAGS, __init__=f"said = '{said}'")


@pytest.fixture
def builds(tmp_path) -> dict[str, Path]:
    return {
        "registry's": torch(tmp_path / "cuda", "9.9.0", "for cuda"),
        "own": torch(tmp_path / "cpu", "9.9.0+cpu", "for the CPU"),
        "other": torch(tmp_path / "other", "9.9.0+cpu", "another file of that name"),
    }


@pytest.fixture
def machine(tmp_path, monkeypatch, builds):
    """A machine without settings; `lock()` asks for the build for the CPU, by its hash."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)
    with Standin({REGISTRY: [builds["registry's"]], PYTORCH: [builds["own"]]}) as standin:
        for name, value in standin.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
        pip = registry.pip()  # the host's own, of the true HOME
        monkeypatch.setattr(registry, "HOME", tmp_path / ".venv")
        monkeypatch.setattr(wheels, "WHEELS", tmp_path / ".venv" / "wheels")
        for module in (registry, wheels):
            monkeypatch.setattr(module, "pip", lambda: pip)
        registry.settings.cache_clear()
        lock = tmp_path / "train" / "requirements.lock"
        lock.parent.mkdir()
        digest = hashlib.sha256(builds["own"].read_bytes()).hexdigest()
        lock.write_text(f'torch==9.9.0+cpu ; sys_platform == "linux" \\\n    --hash=sha256:{digest}\n')
        monkeypatch.setattr(venv, "lock_file", lambda name, kind="cpu": lock)
        monkeypatch.setattr(venv, "ROOT", tmp_path)
        yield standin
    registry.settings.cache_clear()


def said(python: Path) -> str:
    return subprocess.run([python, "-c", "import torch; print(torch.said)"], capture_output=True, text=True).stdout


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the wheels made here are Linux's")


def test_an_environment_gets_it_from_pytorchs_own_index(machine):
    assert said(venv.python("train")) == "for the CPU\n"
    assert any(path.startswith(PYTORCH) for path in machine.asked)


def test_what_pip_s_settings_have_goes_first(machine, builds, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(builds["own"].parent))
    assert said(venv.python("train")) == "for the CPU\n"
    assert not any(path.startswith(PYTORCH) for path in machine.asked)


def test_another_file_of_that_name_is_refused(machine, builds):
    machine.files = {path: builds["other"] if "cpu" in path else file for path, file in machine.files.items()}
    with pytest.raises(StageError, match="(?i)hash"):
        venv.python("train")
    assert not venv.is_made("train")


def test_images_get_its_wheel_by_pip(machine, builds):
    (wheel,) = wheels.wheels(venv.lock_file("train"))
    assert wheel.read_bytes() == builds["own"].read_bytes()


@pytest.fixture
def lock_for_cuda(machine, builds, monkeypatch):
    """A lock that asks for the registry's build, where pip's settings have the other one under a longer number."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(builds["own"].parent))
    digest = hashlib.sha256(builds["registry's"].read_bytes()).hexdigest()
    venv.lock_file("train", "cuda13").write_text(f"torch===9.9.0 \\\n    --hash=sha256:{digest}\n")


def test_an_environment_for_cuda_is_the_registry_s_build_and_lies_beside_the_other(lock_for_cuda, tmp_path):
    python = venv.python("train", "cuda13")
    assert said(python) == "for cuda\n" and python.is_relative_to(tmp_path / ".venv" / "train-cuda13")


def test_images_for_cuda_get_the_registry_s_build(lock_for_cuda, builds):
    (wheel,) = wheels.wheels(venv.lock_file("train", "cuda13"))
    assert wheel.read_bytes() == builds["registry's"].read_bytes()


def test_nowhere_is_one_error_that_names_it(machine):
    machine.files = {}
    with pytest.raises(StageError, match="torch"):
        venv.python("train")


LOCKED = "six==1 \\\n    --hash=sha256:aa\ntorch==9.9.0 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\ntqdm==2 \\\n"
BUILDS = '# why\ntorch==9.9.0+cpu ; sys_platform == "linux" \\\n    --hash=sha256:dd\n'
BUILDS += 'torch==9.9.0 ; sys_platform == "darwin" \\\n    --hash=sha256:ee\n'


def test_a_lock_has_a_line_for_each_system_and_no_hash_of_two_builds():
    text = locks.with_torch(LOCKED, BUILDS)
    assert text.startswith("six==1 ") and text.endswith("tqdm==2 \\\n") and "bb" not in text and "why" not in text
    for system, version, digest in (("linux", "9.9.0+cpu", "dd"), ("darwin", "9.9.0", "ee")):
        assert [pin for pin in pins(text, system) if pin.name == "torch"] == [("torch", version, (digest,))]
