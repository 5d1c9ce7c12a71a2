"""PYTORCH3D=folder: which of its wheels go into which image, and the line that a user gets for a wrong folder."""

import shutil
import tarfile

import pytest

from avatarmake import ROOT
from avatarmake.contract.pipeline import STAGES
from avatarmake.engine import context, docker
from avatarmake.environments import pytorch3d, venv
from avatarmake.environments.pins import pins
from avatarmake.errors import Exit, StageError
from tests.engine import test_make
from tests.environments import wheels

LOCKED = next((pin.name, pin.version) for pin in pins(venv.lock_file(pytorch3d.STAGE).read_text()))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What PYTORCH3D names: two wheels, and something else."""
    place = tmp_path / "my wheels"
    wheels.make(place, "pytorch3d-0.7.9", "cp311-cp311-linux_x86_64", __init__="")
    wheels.make(place, "iopath-0.1.10", __init__="")
    (place / "README.txt").write_text("not a wheel")
    monkeypatch.setenv("PYTORCH3D", str(place))
    monkeypatch.setattr(context.wheels, "wheels", lambda lock: [])
    return place


def digest(stage: str = pytorch3d.STAGE) -> str:
    return context.digest(stage, "sha256:base")


def refused() -> str:
    with pytest.raises(StageError) as e:
        digest()
    assert e.value.exit == Exit.USAGE and "\n" not in str(e.value) and pytorch3d.ADVICE in str(e.value)
    return str(e.value)


def test_with_and_without_are_two_images_and_the_same_folder_is_one(folder, tmp_path, monkeypatch):
    given = digest()
    assert digest() == given
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    monkeypatch.setenv("PYTORCH3D", str(elsewhere))
    assert digest() == given
    monkeypatch.setenv("PYTORCH3D", "")
    empty = digest()
    monkeypatch.delenv("PYTORCH3D")
    assert empty == digest() != given


def test_another_wheel_is_another_image(folder):
    given = digest()
    wheels.make(folder, "iopath-0.1.10", __init__="# changed")
    changed = digest()
    wheels.make(folder, "portalocker-3.2.0")
    assert len({given, changed, digest()}) == 3


def test_other_stages_do_not_look_at_it(folder, monkeypatch):
    others = [stage for stage in STAGES if stage != pytorch3d.STAGE]
    given = [digest(stage) for stage in others]
    monkeypatch.setenv("PYTORCH3D", "/nowhere")
    assert [digest(stage) for stage in others] == given
    monkeypatch.delenv("PYTORCH3D")
    assert [digest(stage) for stage in others] == given


def test_the_context_has_the_wheels_and_only_them(folder, monkeypatch):
    def added() -> list[str]:
        with context.pack_environment(pytorch3d.STAGE) as packed, tarfile.open(fileobj=packed) as tar:
            return [name.partition("/")[2] for name in tar.getnames() if name.startswith("pytorch3d/")]

    assert added() == ["iopath-0.1.10-py3-none-any.whl", "pytorch3d-0.7.9-cp311-cp311-linux_x86_64.whl"]
    monkeypatch.delenv("PYTORCH3D")
    assert added() == []


def test_what_the_lock_has_in_the_same_version_stays_out(folder):
    before = digest()
    wheels.make(folder, "-".join(part.replace("-", "_") for part in LOCKED))
    assert digest() == before


def test_what_the_lock_has_is_not_replaced(folder):
    name = LOCKED[0].replace("-", "_")
    wheels.make(folder, f"{name.title()}-0.0.1")
    assert f"0.0.1-py3-none-any.whl: PYTORCH3D: the image has {LOCKED[0]} {LOCKED[1]}" in refused()


def test_a_home_folder_is_found(folder, monkeypatch):
    """Not every shell expands `PYTORCH3D=~/wheels` on make's command line."""
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("PYTORCH3D", f"~/{folder.name}")
    assert len(pytorch3d.wheels(pytorch3d.STAGE)) == 2


def test_a_folder_that_is_not_there(folder):
    shutil.rmtree(folder)
    assert refused().startswith(f"{folder}: PYTORCH3D: there is no such folder")


def test_a_folder_without_pytorch3d(folder):
    next(folder.glob("pytorch3d*")).unlink()
    wheels.make(folder, "pytorch3d_more-1.0")
    assert refused().startswith(f"{folder}: PYTORCH3D: there is no pytorch3d*.whl in it")


def test_two_wheels_of_one_package(folder):
    wheels.make(folder, "PyTorch3D-0.7.8")
    said = refused()
    assert "two wheels of pytorch3d" in said and "0.7.8" in said and "0.7.9" in said


@pytest.mark.parametrize("name", ["pytorch3d.whl", "pytorch3d-0.7.9-py3-none-any (1).whl", "a-1-$(b)-c-d.whl"])
def test_a_file_that_is_no_wheel_by_its_name(folder, name):
    (folder / name).touch()
    assert refused().startswith(f"{folder / name}: PYTORCH3D: is no wheel by its name")


def test_a_build_that_they_stop_is_told_in_one_line():
    """The daemon quotes the step that failed, and says in colour what its command said."""
    error = "\x1b[91mTraceback (most recent call last):\n  File\nImportError: libc10_cuda.so: cannot open\n\x1b[0m"
    said = ["Step 8/26 : RUN", " ---> Running in b6", error, "Removing intermediate container b6"]
    told = str(docker._failure("flame_head_tracker", "The command 'test -z \"$PYTORCH3D\"' returned 1", said))
    ours = "flame_head_tracker: PYTORCH3D does not fit its image: ImportError: libc10_cuda.so: cannot open"
    assert told == f"{ours}. {pytorch3d.ADVICE}"
    other = str(docker._failure("flame_head_tracker", "The command 'false' returned 1", said))
    assert "The command 'false' returned 1" in other and "Traceback" in other and "\x1b" not in other


def test_make_hands_it_on(tmp_path):
    """As a variable of the environment; a wrong one is told before Docker is asked for anything."""
    if not (ROOT / ".venv/host/lock").exists():
        pytest.skip("the host's environment is not made: make doctor makes it")
    done = test_make.make("image/flame_head_tracker", f"PYTORCH3D={tmp_path}/no such", DOCKER_HOST="unix:///nowhere")
    assert f"{tmp_path}/no such: PYTORCH3D: there is no such folder" in done.stderr
    assert "Traceback" not in done.stderr and "Error 2" in done.stderr
