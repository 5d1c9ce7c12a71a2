"""The images built here: what is in them, what they may, and what changes them. Run by `make test-images`."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from websockets.sync.client import connect

from avatarmake import ROOT, host
from avatarmake.contract import closure
from avatarmake.contract.pipeline import STAGES
from avatarmake.engine import container, context, docker
from avatarmake.environments import pytorch3d
from avatarmake.environments.pins import pins
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_files, digest_path
from stages.live.session import HEADER
from tests.engine.test_context import append
from tests.view.conftest import subject  # noqa: F401

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")
TORCH_STAGES = ("refine", "train", "flashavatar", "flame_head_tracker")


@pytest.fixture(scope="module")
def client():
    return docker.client()


@pytest.fixture(scope="module")
def facts(client) -> dict[str, dict]:
    """What tests/images/inside.py says in each image, run as the engine runs stages."""
    return {stage: look_inside(client, stage) for stage in STAGES}


def look_inside(client, stage: str, **changed) -> dict:
    image = docker.image(stage)
    assert image is not None, f"not built: make image/{stage}"
    settings = container.confinement(client.info()) | changed
    volumes = {str(ROOT / "tests" / "images"): {"bind": "/tests", "mode": "ro"}}
    words = ["python", "/tests/inside.py", stage]
    said = client.containers.run(image.id, entrypoint=words, volumes=volumes, remove=True, **settings)
    return json.loads(said.decode().strip().splitlines()[-1])


def test_images_are_of_these_sources(client):
    """The rest would be about other images."""
    _, base = docker.base(client)
    stale = [s for s in STAGES if docker.image(s).labels.get(docker.INPUTS) != context.digest(s, base)]
    assert not stale, f"make {' '.join(f'image/{s}' for s in stale)}"


@pytest.mark.parametrize("stage", STAGES)
def test_confinement(facts, stage):
    inside = facts[stage]
    assert (inside["uid"], inside["gid"]) == (os.getuid(), os.getgid())
    assert inside["capabilities"] == 0 and inside["no_new_privileges"]
    assert inside["interfaces"] == ["lo"] and not inside["connects"]
    assert inside["writes"] == ["/tmp"]


@pytest.mark.parametrize("stage", STAGES)
def test_versions_are_the_lock_s(facts, stage):
    locked = {pin.name: pin.version for pin in pins((ROOT / "docker" / stage / "requirements.lock").read_text())}
    added = dict(pytorch3d.parts(wheel) for wheel in pytorch3d.wheels(stage))  # none, unless PYTORCH3D is set here
    inside = facts[stage]["versions"]
    assert inside == locked | added


@pytest.mark.parametrize("stage", STAGES)
def test_the_key_is_the_same_as_on_the_host(facts, stage):
    """A result made in the image is up to date for the local engine, and the other way round."""
    assert facts[stage]["code"] == digest_files(closure.closure(stage), ROOT)
    assert facts[stage]["lock"] == digest_path(ROOT / "docker" / stage / "requirements.lock")


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_secret_or_licensed_inside(facts, stage):
    assert facts[stage]["suspicious"] == []
    assert not [name for name in facts[stage]["variables"] if re.search("TOKEN|PASSWORD|SECRET|INDEX|PROXY", name)]


@pytest.mark.parametrize("stage", STAGES)
def test_sizes(stage):
    limit = 1.8e9 if stage in TORCH_STAGES else 0.9e9
    size = docker.image(stage).attrs["Size"]
    assert size < limit, f"{stage}: {host.size(size)}"


@pytest.mark.parametrize("stage", STAGES)
def test_labels(stage):
    labels = docker.image(stage).labels
    for name in ("title", "source", "revision", "version", "created", "licenses", "base.name"):
        assert labels.get(f"org.opencontainers.image.{name}"), name


def test_any_uid_can_run_it(client):
    assert look_inside(client, "convert", user="12345:54321")["uid"] == 12345


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A second checkout, whose images get names of their own."""
    for package in closure.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for module in (closure, context, docker):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    tag = docker.tag
    monkeypatch.setattr(docker, "tag", lambda stage, kind="cpu": f"avatarmake-test/{stage}:latest")
    stages = ("convert", "report")
    same = {stage: docker.client().images.get(tag(stage)).id for stage in stages}
    yield tmp_path, stages, same
    for stage in stages:
        if docker.image(stage) is not None:
            docker.client().images.remove(docker.tag(stage))


def without_a_name(client) -> set[str]:
    return {image.id for image in client.images.list(filters={"dangling": True})}


@pytest.fixture
def another_s(client):
    """An image that somebody built upon ours and gave no name: it inherits our labels."""
    text = f"FROM {docker.image('convert').id}\nENV mine=1\n"
    image, _ = client.images.build(fileobj=io.BytesIO(text.encode()), rm=True)
    yield image.id
    client.images.remove(image.id)


def test_what_lost_its_name_is_removed_and_nothing_else(client, another_s, checkout):
    place, _, _ = checkout
    before = without_a_name(client)
    assert another_s in before
    for edit in ("# one\n", "# two\n", "# three\n"):
        append(place / "stages" / "convert" / "__main__.py", edit)
        assert docker.build("convert")[1]
        assert without_a_name(client) == before


def test_of_an_installation_only_what_was_installed_stays(client, another_s, checkout, monkeypatch):
    """The part that pip ran in, with the wheels, is gone, also where the build breaks off."""
    place, _, of_the_repository = checkout
    monkeypatch.setattr(docker, "environment", lambda stage, kind="cpu": f"avatarmake-test/{stage}:environment")
    before, all_before = without_a_name(client), {image.id for image in client.images.list(all=True)}
    dockerfile = place / "docker" / "convert" / "Dockerfile"
    right = dockerfile.read_text()
    dockerfile.write_text(right.replace("FROM ${BASE} AS environment", "RUN false\nFROM ${BASE} AS environment"))
    with pytest.raises(StageError, match="its image cannot be built"):
        docker.build("convert")
    assert {image.id for image in client.images.list(all=True)} == all_before
    assert without_a_name(client) == before
    dockerfile.write_text(right)
    try:
        assert docker.build("convert")[0].id == of_the_repository["convert"]
        assert {image.id for image in client.images.list(all=True)} == all_before, "made anew, it is the same image"
    finally:
        client.images.remove(docker.tag("convert"))
        client.images.remove(docker.environment("convert"))


def test_an_edit_in_convert_changes_convert_s_image_only(checkout):
    place, stages, of_the_repository = checkout
    first = {stage: docker.build(stage)[0].id for stage in stages}
    assert first == of_the_repository, "another checkout of the same sources makes the same images"
    assert [docker.build(stage)[1] for stage in stages] == [False, False]
    append(place / "stages" / "convert" / "__main__.py", "# edited\n")
    second = {stage: docker.build(stage)[0].id for stage in stages}
    assert [stage for stage in stages if first[stage] != second[stage]] == ["convert"]


# --- running ---------------------------------------------------------------------------------------------------------


def start(*words: str) -> subprocess.Popen:
    """The host command with the docker engine."""
    command = [sys.executable, "-u", "-m", "avatarmake", *words]
    environment = os.environ | {"ENGINE": "docker", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)


def wait_for(process: subprocess.Popen, words: str) -> str:
    """-> the line that says so."""
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"'{words}' was never said")


def running(client, data: Path) -> list:
    return client.containers.list(all=True, filters={"label": f"avatarmake.data={data}"})


def test_exit_code_and_message_come_through(client, tmp_path):
    video = tmp_path / "a film.mp4"
    video.write_bytes(b"this is no film" * 100)
    process = start("run", "frames", "roman", f"--data={tmp_path}/data", f"--video={video}")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == Exit.BAD_INPUT, said
    assert "a film.mp4" in said and "Traceback" not in said
    assert not (tmp_path / "data" / "roman" / "frames").exists()
    assert not running(client, tmp_path / "data")


def test_live_is_served_to_this_machine_by_a_container_without_a_network(client, subject):  # noqa: F811
    """The page, and a frame in which there is no face; a kill, another, and Ctrl-C."""
    process = start("live", subject.name, f"--data={subject.data}")
    address = wait_for(process, "live: open ").split()[-1]
    (container_,) = running(client, subject.data)
    assert container_.attrs["HostConfig"]["NetworkMode"] == "none" and not container_.ports
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address) as answer:
        assert b"<canvas" in answer.read()
    origin = address.rsplit("/", 2)[0]
    with connect(address.replace("http", "ws") + "socket", origin=origin, proxy=None, max_size=None) as camera:
        camera.send(HEADER.pack(0, 640, 480, 0) + bytes(4 * 640 * 480))
        assert json.loads(camera.recv())["state"] == "waiting"
    process.kill()  # and what it leaves is gone with the next one
    process.wait()
    process.stdout.close()
    assert len(running(client, subject.data)) == 1
    process = start("live", subject.name, f"--data={subject.data}")
    wait_for(process, "live: open ")
    assert len(running(client, subject.data)) == 1
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == Exit.OK and "live: ended" in said, said
    assert not running(client, subject.data)


def test_ctrl_c_stops_the_container(client, tmp_path):
    process = start("run", "demo", "demo", f"--data={tmp_path}", "--frames=3000")
    wait_for(process, "demo demo: to do")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped; run it again" in said
    assert not running(client, tmp_path)
    assert not (tmp_path / "demo" / "source").exists()
    assert (tmp_path / "demo" / "source.partial").stat().st_uid == os.getuid()


def test_a_killed_runner_s_container_is_joined(client, tmp_path):
    process = start("run", "demo", "demo", f"--data={tmp_path}", "--frames=6", "--size=128")
    wait_for(process, "demo demo: to do")
    process.kill()
    process.communicate()
    assert running(client, tmp_path)
    again = start("run", "demo", "demo", f"--data={tmp_path}", "--frames=6", "--size=128")
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert (tmp_path / "demo" / "source" / "stage.json").exists() and not running(client, tmp_path)
