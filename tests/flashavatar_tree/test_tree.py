"""The tree is FlashAvatar's layout, whole or not at all, and never takes the place of anything else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from avatarmake import ROOT, flashavatar_tree
from avatarmake.__main__ import main
from avatarmake.contract import layout
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from avatarmake.formats.frame import write_frame
from stages.convert.record import convert
from tests.flashavatar_tree import subject as subjects
from tests.synthetic import performance
from tests.train import subject as small

FRAMES = 9
PLACES = ("imgs", "alpha", "parsing")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return subjects.write(tmp_path_factory.mktemp("drawn"), FRAMES)


@pytest.fixture
def fake(drawn, tmp_path):
    shutil.copytree(drawn.data, tmp_path / "data")
    return layout.Subject(tmp_path / "data", drawn.name)


@pytest.fixture
def to(tmp_path):
    return tmp_path / "FlashAvatar"


def files(to: Path) -> dict[str, bytes]:
    """What FlashAvatar's loader finds, by the paths that it asks for."""
    places = [to / "dataset" / "fake" / p for p in PLACES]
    places.append(to / "metrical-tracker" / "output" / "fake" / "checkpoint")
    return {str(p.relative_to(to)): p.read_bytes() for place in places for p in place.iterdir()}


def command(fake, to, *words):
    return main(["flashavatar-tree", "fake", f"--data={fake.data}", f"--to={to}", *words])


def test_refined_cameras_are_taken_where_they_are_of_this_dataset(fake, to):
    refined, first = small.refined(fake.root), layout.checkpoint_file(fake.root / "refined", 0)
    shutil.copy(layout.checkpoint_file(refined, 1), first)
    done = {"outputs": {"digest": "refined"}, "parts": {"dataset/": "another"}}
    (refined / "stage.json").write_text(json.dumps(done))
    shown = "metrical-tracker/output/fake/checkpoint/00000.frame"
    flashavatar_tree.make(fake, to, copy=False)
    assert files(to)[shown] == layout.checkpoint_file(fake.directory("dataset"), 0).read_bytes()
    done["parts"]["dataset/"] = json.loads((fake.root / "dataset" / "stage.json").read_text())["outputs"]["digest"]
    (refined / "stage.json").write_text(json.dumps(done))
    assert flashavatar_tree.make(fake, to, copy=False)[1]
    assert files(to)[shown] == first.read_bytes() != layout.checkpoint_file(fake.directory("dataset"), 0).read_bytes()


def test_layout_is_flashavatars(fake, to):
    flashavatar_tree.make(fake, to, copy=False)
    there = files(to)
    for i in range(FRAMES):
        assert f"dataset/fake/imgs/{i + 1:05d}.jpg" in there
        assert f"dataset/fake/alpha/{i + 1:05d}.jpg" in there
        assert f"dataset/fake/parsing/{i + 1:05d}_neckhead.png" in there
        assert f"dataset/fake/parsing/{i + 1:05d}_mouth.png" in there
        assert f"metrical-tracker/output/fake/checkpoint/{i:05d}.frame" in there
    assert len(there) == 5 * FRAMES  # os.listdir of checkpoint is how FlashAvatar counts
    dataset, masks = fake.directory("dataset"), fake.directory("masks")
    assert there["dataset/fake/imgs/00002.jpg"] == layout.dataset_image(dataset, 2).read_bytes()
    assert there["dataset/fake/alpha/00002.jpg"] == layout.alpha_mask(masks, 2).read_bytes()
    checkpoint = layout.checkpoint_file(dataset, 1).read_bytes()
    assert there["metrical-tracker/output/fake/checkpoint/00001.frame"] == checkpoint


def test_what_flashavatar_writes_stays_out_of_ours(fake, to):
    """Its train.py makes dataset/<ID>/log: that must not land in a finished stage's directory."""
    flashavatar_tree.make(fake, to, copy=False)
    (to / "dataset" / "fake" / "log").mkdir()
    assert not list(fake.root.rglob("log"))


def test_links_are_relative(fake, to, tmp_path):
    flashavatar_tree.make(fake, to, copy=False)
    before = files(to)
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    assert files(moved / "FlashAvatar") == before


def test_links_hold_where_the_folder_is_itself_a_link(fake, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "away")
    flashavatar_tree.make(fake, tmp_path / "near", copy=False)
    assert len(files(tmp_path / "near")) == 5 * FRAMES


def test_copies_need_nothing_of_ours(fake, to):
    flashavatar_tree.make(fake, to, copy=False)
    linked = files(to)
    flashavatar_tree.make(fake, to, copy=True)
    shutil.rmtree(fake.data)
    assert files(to) == linked
    assert not any(p.is_symlink() for p in to.rglob("*"))


@pytest.mark.parametrize("copy", [False, True])
def test_a_second_time_does_nothing(fake, to, copy):
    assert flashavatar_tree.make(fake, to, copy)[1]
    before = {p: p.lstat().st_mtime_ns for p in to.rglob("*")}
    assert not flashavatar_tree.make(fake, to, copy)[1]
    assert {p: p.lstat().st_mtime_ns for p in to.rglob("*")} == before


def test_a_lost_copy_is_made_again(fake, to):
    flashavatar_tree.make(fake, to, copy=True)
    whole = files(to)
    (to / "dataset" / "fake" / "imgs" / "00003.jpg").unlink()
    assert flashavatar_tree.make(fake, to, copy=True)[1]
    assert files(to) == whole


@pytest.mark.parametrize("copy", [False, True])
def test_a_changed_copy_is_somebody_s(fake, to, copy):
    flashavatar_tree.make(fake, to, copy=True)
    mended = to / "dataset" / "fake" / "alpha" / "00004.jpg"
    mended.write_bytes(b"a better matting")
    with pytest.raises(StageError, match=r"alpha/00004.jpg: was changed since.*Move .*alpha away"):
        flashavatar_tree.make(fake, to, copy)
    assert mended.read_bytes() == b"a better matting"


def test_a_new_dataset_replaces_copies_and_keeps_flashavatars_log(fake, to):
    flashavatar_tree.make(fake, to, copy=True)
    log = to / "dataset" / "fake" / "log"
    log.mkdir()
    (log / "chkpnt5000.pth").write_bytes(b"hours of work")
    shutil.rmtree(fake.root)
    subjects.write(fake.data, FRAMES - 3)
    assert flashavatar_tree.make(fake, to, copy=True)[1]
    assert len(files(to)) == 5 * (FRAMES - 3)
    assert (log / "chkpnt5000.pth").read_bytes() == b"hours of work"


# --- what others made stays ---


@pytest.mark.parametrize("place", ["dataset/fake", "metrical-tracker/output/fake"])
@pytest.mark.parametrize("link", [False, True])
def test_a_folder_of_others_is_refused(fake, to, tmp_path, place, link):
    home = to / place
    home.parent.mkdir(parents=True)
    if link:
        home.symlink_to(tmp_path / "nowhere")
    else:
        home.mkdir()
        (home / "theirs").write_text("theirs")
    with pytest.raises(StageError, match="not made by this command.*--to") as e:
        flashavatar_tree.make(fake, to, copy=False)
    assert e.value.exit == Exit.USAGE and str(home) in str(e.value)
    assert [p for p in to.rglob("*") if not p.is_dir()] == [home if link else home / "theirs"]


def test_a_link_that_was_changed_is_refused(fake, to, tmp_path):
    flashavatar_tree.make(fake, to, copy=False)
    imgs = to / "dataset" / "fake" / "imgs"
    imgs.unlink()
    imgs.symlink_to(tmp_path)
    with pytest.raises(StageError, match="imgs: .*did not make"):
        flashavatar_tree.make(fake, to, copy=True)
    assert os.readlink(imgs) == str(tmp_path)


@pytest.mark.parametrize("copy", [False, True])
def test_a_folder_in_a_links_place_is_refused(fake, to, copy):
    flashavatar_tree.make(fake, to, copy=False)
    alpha = to / "dataset" / "fake" / "alpha"
    alpha.unlink()
    alpha.mkdir()
    (alpha / "00001.jpg").write_bytes(b"a better matting")
    with pytest.raises(StageError, match="alpha: .*did not make"):
        flashavatar_tree.make(fake, to, copy)
    assert (alpha / "00001.jpg").read_bytes() == b"a better matting"


def test_a_file_added_to_copies_is_refused(fake, to):
    flashavatar_tree.make(fake, to, copy=True)
    added = to / "metrical-tracker" / "output" / "fake" / "checkpoint" / "notes.txt"
    added.write_text("mine")
    shutil.rmtree(fake.root)
    subjects.write(fake.data, FRAMES - 1)
    with pytest.raises(StageError, match="checkpoint: .*did not make"):
        flashavatar_tree.make(fake, to, copy=True)
    assert added.read_text() == "mine"


def test_a_stages_directory_is_no_place_for_it(fake):
    with pytest.raises(StageError, match="belongs to a stage"):
        flashavatar_tree.make(fake, fake.directory("dataset"), copy=False)
    with pytest.raises(StageError, match="is no folder"):
        flashavatar_tree.make(fake, fake.directory("dataset") / "stage.json", copy=False)


# --- whole or not at all ---


class Killed(BaseException):
    pass


def killed_at(rename: int, monkeypatch, *arguments) -> bool:
    """Whether `make` died at its `rename`-th rename, as by kill -9: nothing is cleared away."""
    real, left = Path.rename, [rename]

    def dies(self, target):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dies)
        patch.setattr(flashavatar_tree, "_clear", lambda place: None)
        try:
            flashavatar_tree.make(*arguments)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_killed_at_any_moment_the_next_run_ends_well(fake, to, copy, before, monkeypatch):
    """And at no moment are there checkpoints without all that belongs to them."""
    for rename in range(100):
        if before:
            flashavatar_tree.make(fake, to, not copy)
        if not killed_at(rename, monkeypatch, fake, to, copy):
            break
        if (to / "metrical-tracker" / "output" / "fake" / "checkpoint").exists():
            assert len(files(to)) == 5 * FRAMES
        flashavatar_tree.make(fake, to, copy)
        assert len(files(to)) == 5 * FRAMES and not list(to.rglob(".fake.new"))
        shutil.rmtree(to)
    assert rename > 6


def test_a_full_disk_leaves_what_was_there(fake, to, monkeypatch):
    flashavatar_tree.make(fake, to, copy=False)
    before = files(to)

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    assert command(fake, to, "--copy") == Exit.ENVIRONMENT
    assert files(to) == before and not list(to.rglob(".*"))


# --- what FlashAvatar would stumble over ---


def test_a_missing_stage_is_named(fake, to):
    shutil.rmtree(fake.directory("masks"))
    with pytest.raises(StageError, match="masks: is not there. Run: make mask ID=fake"):
        flashavatar_tree.make(fake, to, copy=False)
    assert not to.exists()


def test_an_unfinished_stage_is_named(fake, to):
    (fake.directory("dataset") / "stage.json").unlink()
    with pytest.raises(StageError, match="dataset: is not a finished.*make convert"):
        flashavatar_tree.make(fake, to, copy=False)


def test_masks_of_another_dataset_are_named(fake, to):
    path = fake.directory("masks") / "stage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parts": {"dataset/": "another"}}))
    with pytest.raises(StageError, match="made for another dataset/. Run: make mask"):
        flashavatar_tree.make(fake, to, copy=False)


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("dataset/checkpoint/00004.frame", "convert"),
        ("dataset/imgs/00004.jpg", "convert"),
        ("masks/alpha/00004.jpg", "mask"),
        ("masks/parsing/00004_neckhead.png", "mask"),
        ("masks/parsing/00004_mouth.png", "mask"),
    ],
)
def test_a_missing_file_is_named(fake, to, name, again):
    (fake.root / name).unlink()
    with pytest.raises(StageError, match=f"{name}: is missing.*Run: make {again} ID=fake"):
        flashavatar_tree.make(fake, to, copy=False)


def test_a_stray_file_would_be_counted(fake, to):
    (fake.directory("dataset") / "checkpoint" / "SHA256SUMS").write_text("")
    with pytest.raises(StageError, match="checkpoint/SHA256SUMS.*counts every file.*Move it away"):
        flashavatar_tree.make(fake, to, copy=False)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("dataset/imgs/00009.jpg", (512, 511, 3), "511 x 512 with 3"),
        ("dataset/imgs/00009.jpg", (512, 512), "with 1 channels.*expected 512 x 512 with 3"),
        ("masks/alpha/00009.jpg", (256, 256), "256 x 256"),
        ("masks/parsing/00009_mouth.png", (512, 512, 3), "with 3 channels.*with 1"),
    ],
)
def test_an_image_of_another_form_is_named(fake, to, name, shape, said):
    write = images.write_png if name.endswith("png") else images.write_jpeg
    (fake.root / name).unlink()
    write(fake.root / name, np.zeros(shape, np.uint8))
    with pytest.raises(StageError, match=f"{name}: is {said}|{name}: is .*{said}"):
        flashavatar_tree.make(fake, to, copy=False)


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("shape", 1e-3, "shape is not that of 00000.frame"),
        ("intrinsics", np.diag([0.5, 0.5, 0]), "focal length is 1300.5, that of 00000.frame 1300"),
        ("intrinsics", np.array([[0, 0, 3], [0, 0, 0], [0, 0, 0]]), r"principal point is \(259"),
    ],
)
def test_one_camera_and_one_shape_for_all_frames(fake, to, field, change, said):
    """FlashAvatar reads them from 00000.frame, and the principal point nowhere."""
    record = convert(performance(5), "the test")
    setattr(record, field, getattr(record, field) + change)
    write_frame(layout.checkpoint_file(fake.directory("dataset"), 5), record, 5)
    with pytest.raises(StageError, match=f"00005.frame: .*{said}"):
        flashavatar_tree.make(fake, to, copy=False)


# --- what is said ---


def test_too_few_frames_are_said_with_numbers(fake, to, capsys):
    assert command(fake, to) == Exit.OK
    said = capsys.readouterr().out
    assert "warning: 9 frames" in said and "the last 500" in said and "more than 500" in said
    assert "is no checkout of FlashAvatar" in said


@pytest.mark.parametrize(("frames", "train"), [(500, None), (501, 1), (9580, 9080), (12000, 10000)])
def test_how_many_it_trains_on(frames, train):
    first = flashavatar_tree.Checked(frames, "flame", {}).notes()[0]
    assert first.startswith("warning") if train is None else f"trains on the first {train}," in first


def test_parameters_of_another_head_model_are_said():
    notes = flashavatar_tree.Checked(600, "open", {}).notes()
    assert any("head model 'open'" in n and "HEAD_MODEL=flame" in n for n in notes)
    assert not any("head model" in n for n in flashavatar_tree.Checked(600, "flame", {}).notes())


def test_the_command_line_is_said(fake, to, capsys, monkeypatch):
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(to / "weights"))
    (to / "weights" / "flame2020").mkdir(parents=True)
    (to / "weights" / "flame2020" / "generic_model.pkl").write_text("")
    model, to = to / "weights" / "flame2020" / "generic_model.pkl", to.with_name("Flash Avatar")
    to.mkdir()
    (to / "train.py").write_text("")
    assert command(fake, to) == Exit.OK
    said = capsys.readouterr().out
    assert f"cd '{to}' && python train.py --idname fake\n" in said
    assert f"  install -D {model} '{to}/flame/generic_model.pkl'\n" in said
    assert "make assets GET=flame_masks" in said
    assert command(fake, to) == Exit.OK
    assert capsys.readouterr().out.count("nothing to do") == 2


def test_the_hosts_environment_has_neither_numpy_nor_pillow(fake, to):
    program = "import sys; sys.modules |= dict.fromkeys(('numpy', 'PIL', 'torch'))\n"
    program += "from avatarmake.__main__ import main\n"
    program += f"sys.exit(main(['flashavatar-tree', 'fake', '--data={fake.data}', '--to={to}']))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_a_checkout_and_a_folder_it_says_what_to_fetch(fake, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(flashavatar_tree, "CHECKOUT", tmp_path / "upstream" / "FlashAvatar")
    assert main(["flashavatar-tree", "fake", f"--data={fake.data}"]) == Exit.MISSING_ASSET
    assert "git clone" in capsys.readouterr().err
    assert not (tmp_path / "upstream").exists()  # or git could not clone there
