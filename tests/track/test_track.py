"""The stage as a whole: the real detector and the open head on a film of a public-domain portrait."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from avatarmake import ROOT, head_model
from avatarmake.contract.publication import SUMS, receipt
from avatarmake.errors import Exit
from avatarmake.formats.tracking import read_tracking, tracked_indices
from avatarmake.geometry import cameras
from stages.track.landmarks import whereabouts

FRAMES = 40  # two chunks
BLANK = range(18, 23)  # in the middle, across both


@pytest.fixture(scope="module")
def whole(film, tmp_path_factory):
    """An undisturbed run; BLANK frames show no face."""
    from avatarmake.contract.command import command
    from stages.track import STAGE, __main__

    subject = film(tmp_path_factory.mktemp("data"), FRAMES, blank=BLANK)
    assert command(STAGE, __main__.run, [subject.name, "--data", str(subject.data)]) == Exit.OK
    return subject


def copy_of(subject, data):
    from avatarmake.contract.layout import Subject

    shutil.copytree(subject.directory("frames"), data / subject.name / "frames")
    return Subject(data, subject.name)


def sums(subject) -> str:
    return (subject.directory("tracking") / SUMS).read_text()


def test_what_it_writes(whole):
    directory = whole.directory("tracking")
    tracker = json.loads((directory / "tracker.json").read_text())
    there = [i for i in range(FRAMES) if i not in BLANK]
    assert tracker["tracked"] == tracked_indices(directory) == there
    assert tracker["missing"] == list(BLANK) and tracker["frames"] == FRAMES
    assert tracker["head_model_digest"] == head_model.load("open").digest
    names = {p.name for p in directory.iterdir()}
    assert names == {"tracker.json", SUMS, "stage.json"} | {f"{i}.npz" for i in there}
    facts = receipt(directory)["facts"]
    assert (facts["frames_in"], facts["frames_out"], facts["missing"]) == (FRAMES, len(there), list(BLANK))
    assert facts["landmark_error_pct"]["median"] < 3
    assert facts["jitter_px"] < facts["jitter_px_raw"]
    assert set(facts["ms_per_frame"]) == {"detector", "identity", "texture", "solver", "refiner"}


def test_parameters_put_the_head_where_the_landmarks_are(whole):
    directory = whole.directory("tracking")
    head = head_model.load("open")
    head = head.at_landmarks(head.landmark_ids)
    focal = json.loads((directory / "tracker.json").read_text())["focal"]
    for i in (0, 15, FRAMES - 1):
        t = read_tracking(directory / f"{i}.npz")
        assert not t.head_pose.any() and not t.neck_pose.any() and not t.eye_pose[[2, 5]].any()
        assert np.allclose(t.intrinsics, cameras.intrinsics_from_focal(focal, (512, 512)), rtol=1e-5)
        v = head.vertices(t.shape, t.expression[None], t.jaw_pose[None], t.eye_pose[None], t.eyelids[None])[0]
        uv = cameras.project(v, *cameras.extrinsics_from_cam(t.cam), t.intrinsics)
        assert np.median(np.linalg.norm(uv - t.landmarks[head.landmark_ids], axis=1)) < 4
        assert -0.2 < t.eyelids.min() and t.eyelids.max() < 0.7  # open eyes, in a portrait that never blinks


def test_shards_give_what_one_run_gives(whole, tmp_path, track):
    subject = copy_of(whole, tmp_path)
    command = [sys.executable, "-m", "stages.track", subject.name, "--data", str(subject.data), "--workers", "1"]
    shards = [subprocess.Popen([*command, "--shard", f"{i}/2"], cwd=ROOT, stderr=subprocess.DEVNULL) for i in (1, 0)]
    assert [s.wait() for s in shards] == [0, 0]
    assert not subject.directory("tracking").exists()
    assert track(subject)[0] == Exit.OK
    assert sums(subject) == sums(whole)
    assert receipt(subject.directory("tracking"))["facts"]["ms_per_frame"] == {}  # nothing was left to do


def test_kill_and_resume(whole, tmp_path, track):
    subject = copy_of(whole, tmp_path)
    command = [sys.executable, "-m", "stages.track", subject.name, "--data", str(subject.data), "--workers", "1"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    scratch = subject.partial("tracking") / "scratch"
    solved = scratch / "solved-00000.npz"
    while not solved.exists() and run.poll() is None:
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=60)  # its workers have its output too, and end by themselves
    assert solved.exists(), "it was done before it could be killed"
    before = {p: p.stat().st_mtime_ns for p in scratch.iterdir()}
    detected = [p for p in before if p.name.startswith("detected")]
    assert len(detected) == 2
    torn = subject.partial("tracking") / "7.npz"
    torn.unlink(missing_ok=True)
    solved.unlink()  # as if it had been killed a moment earlier, within the chunk's files
    assert track(subject)[0] == Exit.OK
    assert sums(subject) == sums(whole)
    assert "detector" not in receipt(subject.directory("tracking"))["facts"]["ms_per_frame"]


def test_workers_do_not_change_the_result(whole, tmp_path, track):
    subject = copy_of(whole, tmp_path)
    assert track(subject, "--workers", "1")[0] == Exit.OK
    assert sums(subject) == sums(whole)
    code, out, _ = track(subject)
    assert code == Exit.OK and "nothing to do" in out


def test_landmarks_only(whole, tmp_path, track):
    """Without refinement nothing is read of the pictures but landmarks, and they are fitted more closely."""
    subject = copy_of(whole, tmp_path)
    assert track(subject, "--no-refine")[0] == Exit.OK
    facts, refined = (receipt(s.directory("tracking"))["facts"] for s in (subject, whole))
    assert set(facts["ms_per_frame"]) == {"detector", "identity", "solver"}
    assert facts["landmark_error_px"]["median"] < refined["landmark_error_px"]["median"]


@pytest.mark.parametrize("frames", [1, 9])
def test_few_frames(film, tmp_path, track, frames):
    subject = film(tmp_path, frames)
    assert track(subject)[0] == Exit.OK
    facts = receipt(subject.directory("tracking"))["facts"]
    assert facts["frames_out"] == frames
    assert (facts["jitter_px"] is None) == (frames < 3)


def test_no_face_at_all(film, tmp_path, track):
    subject = film(tmp_path, 5, blank=range(5))
    code, _, err = track(subject)
    assert code == Exit.BAD_INPUT
    assert "no face in any of its 5 images" in err and "Traceback" not in err
    assert not subject.directory("tracking").exists()


def test_two_faces_it_follows_the_central_one(film, tmp_path, track):
    subject = film(tmp_path, 12, two=True)
    assert track(subject)[0] == Exit.OK
    for i in range(12):
        landmarks = read_tracking(subject.directory("tracking") / f"{i}.npz").landmarks
        assert 150 < landmarks[1, 0] < 340 and np.ptp(landmarks[:, 1]) > 90


@pytest.mark.parametrize("x", [128, 384])
def test_of_two_faces_the_one_that_frames_has_taken(portrait, x):
    """Two alike, side by side: whichever is looked for."""
    from avatarmake.detection import FaceMesh
    from avatarmake.formats.images import resize

    face = resize(portrait[30:210, 135:315], (256, 256))
    image = np.concatenate([np.full((128, 512, 3), 90, np.uint8), np.concatenate([face, face], 1)])
    with FaceMesh(static=True, faces=3) as mesh:
        found = mesh.detect(image, np.array([[x, 250.0]]))
        assert found is not None and abs(found[:, 0].mean() - x) < 60
        assert mesh.detect(image, np.array([[x, 5000.0]])) is None  # who is nowhere near is another


def test_where_the_person_was_last_and_next():
    crop = {"times": [0, 0.1, 0.2, 0.3, 0.9], "path": [[0.1, 10, 5], [0.25, 200, 6]]}
    near = whereabouts(crop)
    assert near[:, :, 0].tolist() == [[10, 10], [10, 10], [10, 200], [10, 200], [10, 200]]
    assert whereabouts({"times": [0]}) is None


def test_a_broken_image_is_named(film, tmp_path, track):
    subject = film(tmp_path, 4)
    (subject.directory("frames") / "00003.jpg").write_bytes(b"\xff\xd8 no picture")
    code, _, err = track(subject)
    assert code == Exit.BAD_INPUT and "00003.jpg" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[("--shard", "2/2"), ("--shard", "half"), ("--landmarks", "many"), ("--head-model", "x")],
        *[("--detector", "eyes"), ("--eyelids", "mine")],
    ],
)
def test_wrong_options(whole, tmp_path, track, option, value):
    code, _, err = track(copy_of(whole, tmp_path), option, value)
    assert code == Exit.USAGE and "Traceback" not in err and value in err
