"""Images on other hosts: a second daemon builds the same ids, and builds nothing where it can get them."""

import shutil
import socket
import subprocess
import time

import pytest

from avatarmake.contract.stage import load as load_stage
from avatarmake.engine import container, distribution, docker, image_pins, request
from avatarmake.errors import StageError

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")
STAGE = "convert"
BRIDGE = "avatarmake-test"  # 15 letters at most. One of its own: a daemon without takes that of the other away


@pytest.fixture(scope="module")
def names():
    """Images under names of their own on this daemon, whose others stay as they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker, "tag", lambda stage, kind="cpu": f"avatarmake-test/{stage}:latest")
        patch.setattr(docker, "environment", lambda stage, kind="cpu": f"avatarmake-test/{stage}:environment")
        yield
        connection = docker.client()
        for name in (docker.tag(STAGE), docker.environment(STAGE)):
            connection.images.remove(name)


@pytest.fixture(scope="module")
def here(names):
    """The image as this daemon builds it."""
    return docker.build(STAGE)[0]


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """The address of a daemon of its own, with nothing in it."""
    for tool in ("dockerd", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")
    place = tmp_path_factory.mktemp("second")
    address = f"unix://{place}/docker.sock"
    added = subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], capture_output=True, text=True)
    if added.returncode:
        pytest.skip(f"no second daemon: {added.stderr.strip()}")
    subprocess.run(["ip", "addr", "add", "10.213.57.1/24", "dev", BRIDGE], check=True)
    words = [
        *("dockerd", f"--host={address}", f"--data-root={place}/root", f"--exec-root={place}/exec"),
        *(f"--pidfile={place}/pid", f"--bridge={BRIDGE}", "--iptables=false", "--ip6tables=false"),
        *("--containerd-namespace=avatarmake-test", "--containerd-plugins-namespace=avatarmake-test-plugins"),
    ]
    with (place / "log").open("w") as log:
        daemon = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        wait(lambda: (place / "docker.sock").exists() and answers(address), daemon, place / "log")
        yield address
    finally:
        daemon.terminate()
        daemon.wait(60)
        subprocess.run(["ip", "link", "delete", BRIDGE], check=True)


def answers(address: str) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        return docker.trouble() is None


def listens(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def wait(there, process, log) -> None:
    for _ in range(300):
        if there():
            return
        assert process.poll() is None, log.read_text()[-2000:]
        time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture
def fresh(second, monkeypatch):
    """The second daemon, emptied, as the one that is spoken to."""
    monkeypatch.setenv("DOCKER_HOST", second)
    connection = docker.client()
    for image in connection.images.list():
        connection.images.remove(image.id, force=True)
    assert not connection.images.list(all=True)
    return connection


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """host:port/path of Debian's docker-registry on loopback."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no registry: apt-get install docker-registry")
    place = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    storage = f"{{filesystem: {{rootdirectory: {place}/data}}}}"
    (place / "config.yml").write_text(f'version: 0.1\nstorage: {storage}\nhttp: {{addr: "127.0.0.1:{port}"}}\n')
    with (place / "log").open("w") as log:
        serving = subprocess.Popen(["docker-registry", "serve", place / "config.yml"], stdout=log, stderr=log)
    try:
        wait(lambda: listens(port), serving, place / "log")
        yield f"127.0.0.1:{port}/me"
    finally:
        serving.terminate()
        serving.wait(30)


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    monkeypatch.setattr(image_pins, "LOCK", tmp_path / "images.lock")
    return tmp_path / "images.lock"


def test_another_daemon_builds_the_same_image(here, second, monkeypatch):
    base_name, _ = docker.base(docker.client())
    packed = docker.client().images.get(base_name).save(named=True)
    monkeypatch.setenv("DOCKER_HOST", second)
    docker.client().images.load(b"".join(packed))
    there, built = docker.build(STAGE)
    assert built and there.id == here.id
    assert there.attrs["RootFS"] == here.attrs["RootFS"] and there.labels == here.labels


def test_a_fresh_host_pulls_and_builds_nothing(here, registry, fresh, lock, monkeypatch):
    address = fresh.api.base_url and docker.os.environ["DOCKER_HOST"]
    monkeypatch.delenv("DOCKER_HOST")
    distribution.push([STAGE], registry)
    names = {tag for image in docker.client().images.list() for tag in image.tags}
    assert not [name for name in names if name.startswith(registry)]
    monkeypatch.setenv("DOCKER_HOST", address)
    pin = image_pins.read()[STAGE]
    for by_digest in (True, False):
        lock.unlink() if not by_digest else None
        distribution.pull([STAGE], registry)
        assert docker.build(STAGE) == (docker.image(STAGE), False)
        assert docker.image(STAGE).id == here.id and docker.image(STAGE).labels == here.labels
        assert image_pins.read()[STAGE] == pin
        fresh.images.remove(here.id, force=True)
    asked = request.parse(load_stage(STAGE), ["roman", f"--data={lock.parent}"])
    assert image_pins.named(STAGE, here.id) == {"digest": pin.reference} and container.identity(asked)
    assert image_pins.named(STAGE, "sha256:other") == {}


def test_a_registry_that_gives_another_image_is_refused(here, registry, lock, fresh):
    image_pins.write({STAGE: image_pins.Pin(here.id, f"{registry}/{STAGE}", "sha256:" + "0" * 64, _sources())})
    with pytest.raises(StageError, match="no image of the present sources|refuses"):
        distribution.pull([STAGE], registry)
    assert docker.image(STAGE) is None


def _sources() -> str:
    return distribution.context.digest(STAGE, "")


def test_files_instead_of_a_registry(here, fresh, tmp_path, monkeypatch):
    address = docker.os.environ["DOCKER_HOST"]
    monkeypatch.delenv("DOCKER_HOST")
    distribution.save([STAGE], tmp_path / "images")
    monkeypatch.setenv("DOCKER_HOST", address)
    distribution.load([], tmp_path / "images")
    assert docker.build(STAGE) == (docker.image(STAGE), False) and docker.image(STAGE).id == here.id
    monkeypatch.setattr(docker, "tag", lambda stage, kind="cpu": "somebody/else:latest")
    with pytest.raises(StageError, match=f"holds avatarmake-test/{STAGE}:latest, not somebody/else"):
        distribution.load([STAGE], tmp_path / "images")
    with (tmp_path / "images" / f"{STAGE}.tar").open("ab") as f:
        f.write(b"more")
    with pytest.raises(StageError, match="is not what `make save` wrote"):
        distribution.load([STAGE], tmp_path / "images")
