"""The stage: what it writes, and what it refuses to convert."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from avatarmake import ROOT
from avatarmake.contract import layout
from avatarmake.errors import Exit
from avatarmake.formats.frame import read_frame
from avatarmake.formats.tracking import write_tracking
from avatarmake.head_model import open_head
from stages.convert import __main__ as stage
from stages.convert import chunk
from tests import synthetic


def change(subject, index, **values):
    """Rewrite one tracked frame with other values."""
    t = synthetic.performance(index)
    for name, value in values.items():
        setattr(t, name, value)
    write_tracking(layout.tracking_file(subject.directory("tracking"), index), t)


def tree(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_renumbers_without_gaps_and_keeps_the_index(subject, convert):
    assert convert(subject) == (Exit.OK, "")
    dataset = subject.directory("dataset")
    assert sorted(p.name for p in (dataset / "checkpoint").iterdir()) == [f"{i:05d}.frame" for i in range(5)]
    assert sorted(p.name for p in (dataset / "imgs").iterdir()) == [f"{i:05d}.jpg" for i in range(1, 6)]
    index = json.loads((dataset / "index.json").read_text())
    assert index["images"] == [1, 2, 4, 5, 6]  # image 3 had no face
    assert index["source_frames"] == [0, 2, 6, 8, 10]
    assert index["weights"] == [1.0] * 5
    assert index["image_size"] == [512, 512] and index["focal"] == 1300 and index["head_model"] == "open"


def test_frame_0_pairs_with_image_1(subject, convert):
    """FlashAvatar's off-by-one: 00002.frame belongs to imgs/00003.jpg, here tracking/3.npz and frames/00004.jpg."""
    convert(subject)
    dataset, frames = subject.directory("dataset"), subject.directory("frames")
    assert layout.dataset_image(dataset, 3).read_bytes() == layout.frame_image(frames, 4).read_bytes()
    frame = read_frame(layout.checkpoint_file(dataset, 2))
    np.testing.assert_array_equal(frame.expression, synthetic.performance(3).expression)


def test_images_are_hard_links(subject, convert):
    convert(subject)
    assert layout.frame_image(subject.directory("frames"), 1).stat().st_nlink == 2


def test_images_are_copied_where_links_fail(subject, convert, monkeypatch):
    def no_links(*_):
        raise OSError("Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert convert(subject)[0] == Exit.OK
    image = layout.frame_image(subject.directory("frames"), 1)
    assert image.stat().st_nlink == 1
    assert layout.dataset_image(subject.directory("dataset"), 1).read_bytes() == image.read_bytes()


def test_facts(subject, convert, facts):
    convert(subject)
    f = facts(subject)
    assert (f["frames_in"], f["frames_out"], f["missing"]) == (6, 5, 1)
    assert 0 < f["reprojection_px_mean"] <= f["reprojection_px_max"] < 0.001
    assert f["jitter_px"] > 0


def test_same_bytes_in_processes_and_after_a_kill(subject, convert, monkeypatch):
    """Killed in the middle, a file half-written, then run again: what an undisturbed run writes, nothing twice."""
    convert(subject)
    undisturbed = tree(subject.directory("dataset"))
    real = chunk.work

    def killed(plan, start, stop):
        if start:
            raise KeyboardInterrupt
        return real(plan, start, stop)

    monkeypatch.setattr(stage, "work", killed)
    code, _ = convert(subject, "--force")
    assert code == 130
    partial = subject.partial("dataset")
    first = layout.checkpoint_file(partial, 0)
    (partial / "checkpoint" / ".0123456789abcdef.new.frame").write_bytes(b"half")  # what kill -9 leaves
    before = first.stat().st_mtime_ns
    monkeypatch.setattr(stage, "work", real)
    monkeypatch.setattr(stage, "CHUNK", 1)  # enough chunks for processes
    assert convert(subject, "--force", "--workers", "2")[0] == Exit.OK
    again = tree(subject.directory("dataset"))
    assert layout.checkpoint_file(subject.directory("dataset"), 0).stat().st_mtime_ns == before
    undisturbed.pop("stage.json"), again.pop("stage.json")
    assert undisturbed == again


def test_processes_of_the_real_command(tmp_path):
    """`python -m` makes a __main__ that worker processes cannot import; no test in this process would notice."""
    frames = 4 * stage.CHUNK + 1
    subject = synthetic.tracked_subject(tmp_path / "data", open_head.build(), frames=frames)
    command = [sys.executable, "-m", "stages.convert", subject.name, "--data", str(subject.data), "--workers", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(list((subject.directory("dataset") / "checkpoint").iterdir())) == frames


# --- what it refuses -----------------------------------------------------------------------------------------------


def refused(result, subject, *words, code=Exit.BAD_INPUT):
    assert result[0] == code
    for word in words:
        assert word in result[1]
    assert "Traceback" not in result[1]
    assert not subject.directory("dataset").exists()


def test_a_wrong_axis_is_refused(subject, convert, monkeypatch):
    """The point of the check: a dataset that shows another head is not written."""
    right = stage.work.__globals__["convert"]

    def flipped(t, where):
        r = right(t, where)
        r.jaw_rot6d = np.concatenate([r.jaw_rot6d.reshape(2, 3).T.ravel()[:3], r.jaw_rot6d[3:]])
        return r

    monkeypatch.setattr(chunk, "convert", flipped)
    refused(convert(subject), subject, "00000.frame", "px from where the tracker has them", "0.npz")


def test_focal_length_must_hold_for_the_video(subject, convert):
    change(subject, 4, intrinsics=np.array([[1310.0, 0, 256], [0, 1310, 256], [0, 0, 1]]))
    refused(convert(subject), subject, "tracking/4.npz", "1310.00 px, that of tracking/0.npz 1300.00", "optimize_fov")


def test_shape_must_hold_for_the_video(subject, convert):
    change(subject, 4, shape=np.zeros(300))
    refused(convert(subject), subject, "tracking/4.npz", "its shape is not that of tracking/0.npz")


def test_principal_point_must_be_the_centre(subject, convert):
    change(subject, 0, intrinsics=np.array([[1300.0, 0, 250], [0, 1300, 256], [0, 0, 1]]))
    refused(convert(subject), subject, "principal point is (250.00, 256.00)")


@pytest.mark.parametrize("pose", ["neck_pose", "head_pose"])
def test_poses_that_flashavatar_ignores_must_be_zero(subject, convert, pose):
    change(subject, 1, **{pose: np.array([0.1, 0, 0])})
    refused(convert(subject), subject, f"tracking/1.npz: {pose} is not zero")


def test_a_head_behind_the_camera(subject, convert):
    change(subject, 1, cam=np.array([0, 0, 0, 0, 0, -0.9]))
    refused(convert(subject), subject, "tracking/1.npz: has the head behind the camera")


def test_blendshapes_stand_in_for_eyelids(subject, convert):
    scores = np.zeros(52)
    scores[9], scores[10] = 0.75, 0.25
    change(subject, 0, eyelids=None, blendshapes=scores)
    assert convert(subject)[0] == Exit.OK
    frame = read_frame(layout.checkpoint_file(subject.directory("dataset"), 0))
    assert frame.eyelids.tolist() == [0.75, 0.25]


def test_no_eyelids_at_all(subject, convert):
    change(subject, 1, eyelids=None)
    refused(convert(subject), subject, "tracking/1.npz", "neither eyelids nor blendshape_scores")


def test_nan(subject, convert):
    path = subject.directory("tracking") / "3.npz"
    with np.load(path) as f:
        arrays = dict(f)
    arrays["cam"][0, 3] = np.nan
    np.savez(path, **arrays)
    refused(convert(subject), subject, "tracking/3.npz: cam holds NaN", "make track ID=fake")


def test_corrupt_npz(subject, convert):
    (subject.directory("tracking") / "3.npz").write_bytes(b"PK\x03\x04 not really")
    refused(convert(subject), subject, "tracking/3.npz: is no readable .npz", "make track ID=fake")


def test_lost_npz(subject, convert):
    (subject.directory("tracking") / "3.npz").unlink()
    refused(convert(subject), subject, "3.npz: is missing", "make track ID=fake")


def test_no_frame_tracked(tmp_path, head, convert):
    subject = synthetic.tracked_subject(tmp_path, head, frames=3, gaps=(0, 1, 2))
    refused(convert(subject), subject, "holds no tracked frame: no face was found")


def test_one_frame(tmp_path, head, convert, facts):
    subject = synthetic.tracked_subject(tmp_path, head, frames=1)
    assert convert(subject)[0] == Exit.OK
    assert facts(subject)["jitter_px"] is None


def test_missing_image(subject, convert):
    layout.frame_image(subject.directory("frames"), 4).unlink()
    refused(convert(subject), subject, "00004.jpg: is not there, but it was tracked", "make frames ID=fake")


def test_more_tracked_frames_than_images(subject, convert):
    change(subject, 9)
    refused(convert(subject), subject, "9.npz: belongs to image 10, and there are 6")


def test_head_model_of_another_version(subject, convert):
    path = subject.directory("tracking") / "tracker.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "head_model_digest": "0" * 64}))
    refused(convert(subject), subject, "another version of head model 'open': 00000000", "make track ID=fake")


def test_upstreams_own_tracking_means_flame(subject, convert):
    """Without tracker.json the parameters are FLAME's; they say nothing about another head."""
    (subject.directory("tracking") / "tracker.json").unlink()
    refused(convert(subject), subject, "HEAD_MODEL=flame", code=Exit.MISSING_ASSET)


def test_broken_crop_json(subject, convert):
    (subject.directory("frames") / "crop.json").write_text("{")
    refused(convert(subject), subject, "crop.json: cannot be read", "make frames ID=fake")
