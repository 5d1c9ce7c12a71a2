"""What an image is built from: the same bytes on every checkout, and only what its stage needs."""

import os
import re
import shutil
import subprocess
import tarfile

import pytest

from stages import engine, key
from stages.contract import ROOT
from stages.engine import context, pytorch3d, registry


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the sources, which the modules under test take for the repository."""
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    monkeypatch.setattr(key, "ROOT", tmp_path)
    monkeypatch.setattr(context, "ROOT", tmp_path)
    monkeypatch.setattr(registry, "wheels", lambda lock: [])
    return tmp_path


def digests() -> dict[str, str]:
    return {stage: context.digest(stage, "sha256:base") for stage in engine.STAGES}


def test_an_edit_in_one_stage_changes_its_image_only(checkout):
    before = digests()
    (checkout / "stages" / "convert" / "__main__.py").open("a").write("# edited\n")
    after = digests()
    assert [stage for stage in engine.STAGES if before[stage] != after[stage]] == ["convert"]


def test_an_edit_in_a_shared_module_changes_every_image(checkout):
    before = digests()
    (checkout / "stages" / "cameras.py").open("a").write("# edited\n")
    assert all(before[stage] != digest for stage, digest in digests().items())


def test_the_host_s_own_modules_are_in_no_image(checkout):
    before = digests()
    (checkout / "stages" / "engine" / "docker.py").open("a").write("# edited\n")
    (checkout / "stages" / "__main__.py").open("a").write("# edited\n")
    assert digests() == before


def test_another_base_is_another_image():
    assert context.digest("convert", "sha256:base") != context.digest("convert", "sha256:other")


def test_the_context_is_the_same_bytes_on_every_checkout(checkout):
    first = context.pack("convert").read()
    for path in checkout.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o777)
    assert context.pack("convert").read() == first


def test_the_context_is_readable_by_every_uid_and_holds_the_stage_only(checkout):
    with tarfile.open(fileobj=context.pack("convert")) as tar:
        entries = {entry.name: entry for entry in tar}
    assert all(entry.mode == 0o644 and entry.uid == 0 for entry in entries.values())
    folders = {name.split("/")[1] for name in entries if name.count("/") > 1}
    assert folders == {"convert", "head_model"}
    assert "stages/contract.py" in entries and "stages/__main__.py" not in entries


def test_wheels_are_fetched_by_a_python_that_has_pip():
    """The tests' own environment, made by uv, has none; CI's image tests failed for that once."""
    assert subprocess.run([*registry.pip(), "--version"], capture_output=True).returncode == 0


def test_only_the_wheels_of_the_lock_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WHEELS", tmp_path)
    monkeypatch.setattr(registry, "HOME", tmp_path)
    monkeypatch.setattr(registry, "ROOT", tmp_path)
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==2.13.0+cpu \\\n    --hash=sha256:00\nabsl-py==2.5.1 \\\n    --hash=sha256:00\n")
    wanted = ["torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl", "absl_py-2.5.1-py3-none-any.whl"]
    for name in [*wanted, "torch-2.12.0+cpu-cp311-cp311-linux_x86_64.whl", "absl_py_more-2.5.1-py3-none-any.whl"]:
        (tmp_path / name).touch()
    assert {wheel.name for wheel in registry.wheels(lock)} == set(wanted)


@pytest.mark.parametrize("stage", engine.STAGES)
def test_dockerfiles_differ_in_their_stage_only(stage):
    """And in one paragraph, of the one stage that takes PyTorch3D."""
    paragraphs = (ROOT / "docker" / stage / "Dockerfile").read_text().split("\n\n")
    text = "\n\n".join(paragraph for paragraph in paragraphs if "PYTORCH3D" not in paragraph)
    assert len(paragraphs) == (3 if stage == pytorch3d.STAGE else 2)
    ours = (ROOT / "docker" / "convert" / "Dockerfile").read_text()
    assert text == ours.replace("docker/convert", f"docker/{stage}").replace("stages.convert", f"stages.{stage}")


def test_one_version_of_a_package_in_the_whole_project():
    def pins(path):
        return {line.split(" ")[0] for line in path.read_text().splitlines() if "==" in line}

    whole = pins(ROOT / "tests" / "requirements.lock")
    for lock in [ROOT / "requirements.lock", *sorted(ROOT.glob("docker/*/requirements.lock"))]:
        assert pins(lock) <= whole, f"{lock}: run make lock"


def test_locks_hold_what_is_asked_for():
    for asked in sorted(ROOT.glob("docker/*/requirements.in")):
        lock = asked.with_suffix(".lock").read_text()
        for line in asked.read_text().splitlines():
            pin = line.split("#")[0].strip()
            assert not pin or f"\n{pin}" in f"\n{lock}", f"{asked}: {pin} is not in the lock: run make lock"


def test_no_lock_names_a_registry():
    for lock in [
        ROOT / "requirements.lock",
        *ROOT.glob("*/requirements.lock"),
        *ROOT.glob("docker/*/requirements.lock"),
    ]:
        assert "://" not in lock.read_text()


@pytest.mark.parametrize("stage", engine.STAGES)
def test_every_dockerfile_starts_from_the_base_pinned_by_digest(stage):
    from stages.engine import docker

    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "docker" / stage / "Dockerfile").read_text(), re.MULTILINE)
    assert found[1] == docker.BASE and re.search(r"@sha256:[0-9a-f]{64}$", docker.BASE)
