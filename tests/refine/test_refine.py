"""The stage on a subject whose true cameras are known: what pictures tell, and what those of unseen frames may not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from avatarmake.avatar.correction import UNIT, corrected
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject, checkpoint_file, dataset_image
from avatarmake.contract.receipts import receipt
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from avatarmake.formats.frame import read_frame
from stages.refine import STAGE, RefineConfig, course, likeness, pose
from stages.refine import __main__ as stage
from stages.train.dataset import Dataset
from stages.train.split import split
from tests.train import subject as small

FRAMES = 24
SMALL = RefineConfig(iterations=240, gaussians=1500)
OPTIONS = ("--iterations", "60", "--gaussians", "800")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """dataset/ and masks/ with their receipts; tests copy what they change."""
    volume = tmp_path_factory.mktemp("volume")
    small.finished(volume / "roman", FRAMES)
    shutil.rmtree(volume / "roman" / "refined")
    return volume


@pytest.fixture
def subject(drawn, tmp_path) -> Subject:
    shutil.copytree(drawn, tmp_path / "data")
    return Subject(tmp_path / "data", "roman")


@pytest.fixture(scope="module")
def trainer(drawn):
    """A small avatar that knows its subject."""
    made = likeness.begun(Dataset(drawn / "roman" / "dataset", drawn / "roman" / "masks", "roman"), SMALL)
    likeness.train(made)
    return made


def run(subject: Subject, *options: str) -> Exit:
    return command(STAGE, stage.run, [subject.name, "--data", str(subject.data), *OPTIONS, *options])


def written(subject: Subject) -> list[bytes]:
    return [checkpoint_file(subject.directory("refined"), i).read_bytes() for i in range(FRAMES)]


@pytest.mark.parametrize("off", [[1, 0, 0, 0, 0, 0], [0, -1.5, 0, 1, 0, 2], [0, 0, 1, 0, -1, 0]])
def test_a_camera_that_is_off_is_found_by_the_frames_picture(trainer, off):
    """Of a seen frame and of unseen ones: as where it was not off, to a quarter."""
    dataset = trainer.dataset
    for i in (5, split(FRAMES).blocks[0], split(FRAMES).last[-1]):
        right = pose.find(trainer, i)
        before = dataset.rotation[i].copy(), dataset.translation[i].copy()
        try:
            dataset.rotation[i], dataset.translation[i] = corrected(np.array(off, float), *before)
            found = pose.find(trainer, i)
        finally:
            dataset.rotation[i], dataset.translation[i] = before
        apart = course.correction(dataset, i, *found) - course.correction(dataset, i, *right)
        assert np.linalg.norm(apart) < 0.25 * np.linalg.norm(off), i


def test_a_picture_of_nobody_takes_the_camera_no_further_than_farthest(trainer, monkeypatch):
    """Nothing but white: the further away the head, the better."""
    at = trainer.camera_of(5)
    picture = trainer.dataset.picture(5, likeness.SIZE)
    blank = replace(picture, pixels=np.full_like(picture.pixels, 255), cover=np.zeros_like(picture.cover))
    monkeypatch.setattr(trainer.dataset, "picture", lambda i, size: blank)
    rotation, translation = pose.find(trainer, 5)
    turned = np.linalg.norm(rotation - at[0]) / np.sqrt(2)
    assert turned < pose.FARTHEST * UNIT[0] and np.linalg.norm(translation - at[1]) < pose.FARTHEST * UNIT[3]


def test_unseen_frames_have_no_say_in_what_is_trained_on(subject):
    assert run(subject) == Exit.OK
    before = written(subject)
    unseen = split(FRAMES).held_out
    noise = np.random.default_rng(0)
    for i in unseen:
        path = dataset_image(subject.directory("dataset"), i + 1)
        images.write_jpeg(path, noise.integers(0, 255, images.read_rgb(path).shape, np.uint8))
    assert run(subject, "--force") == Exit.OK
    same = [a == b for a, b in zip(before, written(subject), strict=True)]
    assert all(same[i] for i in split(FRAMES).train) and not any(same[i] for i in unseen)


def test_what_it_writes(subject):
    assert run(subject) == Exit.OK
    refined, dataset = subject.directory("refined"), subject.directory("dataset")
    assert {p.name for p in refined.iterdir()} == {"checkpoint", "index.json", "stage.json", "SHA256SUMS"}
    assert (refined / "index.json").read_bytes() == (dataset / "index.json").read_bytes()
    for i in range(FRAMES):
        a, b = (vars(read_frame(checkpoint_file(root, i))) for root in (refined, dataset))
        moved = {name for name in a if not np.array_equal(a[name], b[name])}
        assert moved <= {"R", "t"} and np.allclose(a["R"] @ a["R"].T, np.eye(3), atol=1e-6)
    facts = receipt(refined)["facts"]
    assert facts["frames_out"] == FRAMES and 0 < facts["moved_px"] < 3 and facts["jitter_px"]["refined"] > 0


@pytest.mark.parametrize("frames", [1, 3])
def test_a_video_of_hardly_any_frames(tmp_path, frames):
    small.finished(tmp_path / "short", frames)
    shutil.rmtree(tmp_path / "short" / "refined")
    short = Subject(tmp_path, "short")
    assert run(short) == Exit.OK
    assert np.isfinite(read_frame(checkpoint_file(short.directory("refined"), frames - 1)).t).all()


def test_without_it_cameras_stay(subject, capsys):
    assert run(subject, "--no-refine") == Exit.OK
    assert "cameras stay as they were tracked" in capsys.readouterr().out
    root = subject.directory("dataset")
    assert written(subject) == [checkpoint_file(root, i).read_bytes() for i in range(FRAMES)]


def test_a_killed_run_goes_on_to_the_same_cameras(subject, monkeypatch, capsys):
    assert run(subject) == Exit.OK
    whole = written(subject)
    shutil.rmtree(subject.directory("refined"))
    find = pose.find
    monkeypatch.setattr(stage, "OFTEN", 4)

    def until(trainer, i):
        if i == 10:
            raise KeyboardInterrupt
        return find(trainer, i)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pose, "find", until)
        assert run(subject) != Exit.OK
    assert not subject.directory("refined").exists()
    assert run(subject) == Exit.OK and "going on at frame 8" in capsys.readouterr().out
    assert written(subject) == whole


def test_the_course_is_smoothed_within_what_follows_each_other():
    rng = np.random.default_rng(1)
    everyone, frames = np.ones(40, bool), np.arange(40)
    frames[20:] += 1  # a cut
    steady = np.outer(frames, np.arange(6.0))
    inside = np.r_[4:16, 24:36]
    assert np.allclose(course.smooth(steady, frames, everyone)[inside], steady[inside])
    noise = rng.standard_normal((40, 6))
    smooth = course.smooth(noise, frames, everyone)
    assert smooth[inside].std() < 0.6 * noise.std()
    noise[20:] += 100  # nothing of it comes across
    assert np.array_equal(course.smooth(noise, frames, everyone)[:20], smooth[:20])


def test_a_frame_alone_stays_what_it_was():
    alone = np.arange(6.0)[None]
    assert np.allclose(course.smooth(alone, np.array([3]), np.array([False])), alone)


@pytest.mark.parametrize("name", ["iterations", "gaussians"])
def test_none_is_too_few(name):
    with pytest.raises(StageError, match="at least one step and one Gaussian"):
        RefineConfig(**{name: 0})


def test_corrections_lead_from_tracked_to_found(drawn):
    dataset = Dataset(drawn / "roman" / "dataset", drawn / "roman" / "masks", "roman")
    x = np.array([1.0, -2, 0.5, 3, -1, 2])
    where = corrected(x, dataset.rotation[3], dataset.translation[3])
    assert np.allclose(course.correction(dataset, 3, *where), x, atol=1e-3)
    rotation, translation = course.cameras_of(dataset, np.tile(x, (FRAMES, 1)))
    assert np.allclose(rotation[3], where[0]) and np.allclose(translation[3], where[1])
    assert json.loads((drawn / "roman" / "dataset" / "index.json").read_text())["images"][-1] == FRAMES
