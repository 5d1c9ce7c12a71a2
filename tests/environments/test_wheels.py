"""The wheels that a lock asks for, and who fetches them."""

import subprocess

from avatarmake import registry
from avatarmake.environments import wheels


def test_wheels_are_fetched_by_a_python_that_has_pip():
    """The tests' own environment, made by uv, has none; CI's image tests failed for that once."""
    assert subprocess.run([*registry.pip(), "--version"], capture_output=True).returncode == 0


def test_only_the_wheels_of_the_lock_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "WHEELS", tmp_path)
    monkeypatch.setattr(registry, "HOME", tmp_path)
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==2.13.0+cpu \\\n    --hash=sha256:00\nabsl-py==2.5.1 \\\n    --hash=sha256:00\n")
    wanted = ["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "absl_py-2.5.1-py3-none-any.whl"]
    for name in [*wanted, "torch-2.12.0+cpu-cp311-cp311-linux_x86_64.whl", "absl_py_more-2.5.1-py3-none-any.whl"]:
        (tmp_path / name).touch()
    assert {wheel.name for wheel in wheels.wheels(lock)} == set(wanted)
