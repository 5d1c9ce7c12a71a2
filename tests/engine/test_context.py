"""What an image is built from: the same bytes on every checkout, and only what its stage needs."""

import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.contract import closure
from avatarmake.contract.pipeline import STAGES
from avatarmake.engine import context
from avatarmake.environments import pytorch3d, wheels


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the sources, which the modules under test take for the repository."""
    for package in closure.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    monkeypatch.setattr(context, "ROOT", tmp_path)
    monkeypatch.setattr(wheels, "wheels", lambda lock: [])
    return tmp_path


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def digests() -> dict[str, str]:
    return {stage: context.digest(stage, "sha256:base") for stage in STAGES}


def test_an_edit_in_one_stage_changes_its_image_only(checkout):
    before = digests()
    append(checkout / "stages" / "convert" / "__main__.py", "# edited\n")
    after = digests()
    assert [stage for stage in STAGES if before[stage] != after[stage]] == ["convert"]


def test_another_base_is_another_image():
    assert context.digest("convert", "sha256:base") != context.digest("convert", "sha256:other")


def contexts() -> list[bytes]:
    """What the two halves of an image are built from."""
    made = []
    for pack in (context.pack_environment, context.pack):
        with pack("convert") as packed:
            made.append(packed.read())
    return made


def test_the_context_is_the_same_bytes_on_every_checkout(checkout):
    first = contexts()
    for path in checkout.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o777)
    assert contexts() == first


def test_packages_are_installed_anew_where_they_changed_and_only_there(checkout):
    """The lock, the base or how it is done: not the sources, nor what follows in the Dockerfile."""
    one, dockerfile = context.environment_digest("convert", "sha256:base"), checkout / "docker/convert/Dockerfile"
    append(checkout / "stages" / "convert" / "__main__.py", "# edited\n")
    append(dockerfile, "ENV A=b\n")
    assert context.environment_digest("convert", "sha256:base") == one
    assert context.environment_digest("convert", "sha256:other") != one
    append(checkout / "docker/convert/requirements.lock", "# edited\n")
    two = context.environment_digest("convert", "sha256:base")
    dockerfile.write_text(dockerfile.read_text().replace("--no-deps", "--no-deps --no-compile"))
    assert len({one, two, context.environment_digest("convert", "sha256:base")}) == 3


def test_halves_of_a_dockerfile_lose_nothing(checkout):
    halves = []
    for pack in (context.pack_environment, context.pack):
        with pack("convert") as packed, tarfile.open(fileobj=packed) as tar:
            halves.append(tar.extractfile("Dockerfile").read().decode())
    assert halves[0].endswith("AS environment\nCOPY --from=build /tree /\n")
    whole = halves[0] + halves[1].replace("ARG ENVIRONMENT\nFROM ${ENVIRONMENT}\n", "\nFROM environment\n")
    assert whole == (ROOT / "docker" / "convert" / "Dockerfile").read_text()


def test_the_context_is_readable_by_every_uid_and_holds_the_stage_only(checkout):
    with context.pack("convert") as packed, tarfile.open(fileobj=packed) as tar:
        entries = {entry.name: entry for entry in tar}
    assert all(entry.mode == (0o755 if entry.isdir() else 0o644) and entry.uid == 0 for entry in entries.values())
    stages = {name.removeprefix("root/app/stages/").split("/")[0] for name in entries if "app/stages/" in name}
    assert stages == {"__init__.py", "convert"}
    assert "root/app/avatarmake/contract/stage.py" in entries and "root/app/avatarmake/__main__.py" not in entries


def test_every_folder_of_the_context_has_a_time_of_its_own():
    """Docker would give it that of the build, and the layer another digest on every daemon."""
    with context.pack("convert") as packed, tarfile.open(fileobj=packed) as tar:
        entries = list(tar)
    folders = {entry.name for entry in entries if entry.isdir()}
    assert {str(parent) for entry in entries for parent in Path(entry.name).parents} == folders
    assert {entry.mtime for entry in entries} == {1}


@pytest.mark.parametrize("stage", STAGES)
def test_dockerfiles_differ_in_their_stage_only(stage):
    """And in a paragraph: of the one that takes PyTorch3D, and of the one that leaves out some of CUDA."""
    own = {pytorch3d.STAGE: "PYTORCH3D", "train": "# Of CUDA"}.get(stage, "none")
    paragraphs = (ROOT / "docker" / stage / "Dockerfile").read_text().split("\n\n")
    text = "\n\n".join(paragraph for paragraph in paragraphs if own not in paragraph)
    assert len(paragraphs) == (3 if own == "none" else 4)
    ours = (ROOT / "docker" / "convert" / "Dockerfile").read_text()
    assert text == ours.replace("docker/convert", f"docker/{stage}").replace("stages.convert", f"stages.{stage}")


@pytest.mark.parametrize("stage", STAGES)
def test_every_dockerfile_starts_from_the_base_pinned_by_digest(stage):
    from avatarmake.engine import docker

    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "docker" / stage / "Dockerfile").read_text(), re.MULTILINE)
    assert found[1] == docker.BASE and re.search(r"@sha256:[0-9a-f]{64}$", docker.BASE)
