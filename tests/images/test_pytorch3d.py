"""Wheels of PYTORCH3D's folder in an image: a stand-in of one line, in an image under a name of its own."""

import contextlib

import pytest
from docker.errors import ImageNotFound

from avatarmake.engine import context, docker
from avatarmake.environments import pytorch3d
from avatarmake.errors import Exit, StageError
from tests.environments import wheels

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")
WORKS = {"__init__": "", "io": "import iopath", "renderer": "import torch"}  # as the real one does


@pytest.fixture(scope="module")
def lock_installed():
    """The part of the build that no wheel here changes, under a name, so that it is made once."""
    client, name = docker.client(), "avatarmake-test/installed:latest"
    with context.pack_environment(pytorch3d.STAGE) as packed:
        settings = {"custom_context": True, "target": "build", "network_mode": "none", "rm": True, "decode": True}
        base, _ = docker.base(client)
        said = list(client.api.build(fileobj=packed, tag=name, buildargs={"BASE": base}, **settings))
    assert "error" not in said[-1], said[-1]
    yield
    client.images.remove(name)


@pytest.fixture
def folder(tmp_path, monkeypatch, lock_installed):
    names = {"tag": "latest", "environment": "environment"}
    for function, word in names.items():
        monkeypatch.setattr(docker, function, lambda stage, kind="cpu", word=word: f"avatarmake-test/{stage}:{word}")
    monkeypatch.setenv("PYTORCH3D", str(tmp_path))
    yield tmp_path
    for name in (docker.tag(pytorch3d.STAGE), docker.environment(pytorch3d.STAGE)):
        with contextlib.suppress(ImageNotFound):
            docker.client().images.remove(name)


def inside() -> str:
    """What importing the two parts that upstream uses says in the image, as the user that stages run as."""
    look = "try: import pytorch3d.io, pytorch3d.renderer; print('there')\nexcept ImportError as e: print(e)"
    words = ["python", "-c", look]
    image = docker.image(pytorch3d.STAGE).id
    return docker.client().containers.run(image, entrypoint=words, remove=True, network_mode="none").decode().strip()


def test_in_the_image_with_it_and_gone_without(folder, monkeypatch, capsys):
    wheels.make(folder, "pytorch3d-0.0.1", **WORKS)
    wheels.make(folder, "iopath-0.0.1", __init__="")
    with_it, built = docker.build(pytorch3d.STAGE)
    assert built and inside() == "there"
    assert "with iopath-0.0.1-py3-none-any.whl pytorch3d-0.0.1-py3-none-any.whl\n" in capsys.readouterr().err
    assert docker.build(pytorch3d.STAGE) == (with_it, False)
    monkeypatch.delenv("PYTORCH3D")
    without, built = docker.build(pytorch3d.STAGE)
    assert built and inside() == "No module named 'pytorch3d'"
    assert "without the PyTorch3D that it had: PYTORCH3D= is not set\n" in capsys.readouterr().err
    assert without.labels[docker.INPUTS] == context.digest(pytorch3d.STAGE, docker.base(docker.client())[1])


@pytest.mark.parametrize(
    ("tags", "modules", "said"),
    [
        ("cp312-cp312-linux_x86_64", WORKS, "cp312-linux_x86_64.whl is not a supported wheel on this platform"),
        ("cp311-cp311-win_amd64", WORKS, "cp311-win_amd64.whl is not a supported wheel on this platform"),
        ("py3-none-any", WORKS, "No module named 'iopath'"),
        ("py3-none-any", WORKS | {"io": "", "renderer": "raise OSError('libtorch')"}, "OSError: libtorch"),
    ],
)
def test_a_wheel_that_does_not_fit_stops_the_build_in_one_line(folder, tags, modules, said):
    wheels.make(folder, "pytorch3d-0.0.1", tags, **modules)
    with pytest.raises(StageError) as e:
        docker.build(pytorch3d.STAGE)
    assert "PYTORCH3D does not fit its image: " in str(e.value) and said in str(e.value)
    assert "\n" not in str(e.value) and e.value.exit == Exit.ENVIRONMENT
    assert docker.image(pytorch3d.STAGE) is None
