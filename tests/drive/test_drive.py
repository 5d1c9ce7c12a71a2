"""make drive: what is made of whom, by the files it leaves."""

import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from avatarmake.avatar.model import Avatar
from avatarmake.avatar.performance import Performance
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import load
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from stages.drive import orbit
from tests.drive.conftest import FRAMES, JAW, LOST, SMILE, TIMES, drive, video_with_sound


@pytest.fixture(scope="module")
def done(subjects) -> Path:
    return drive(subjects, "anna")


def pictures(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
    return [f.to_ndarray(format="rgb24") for f in frames], [float(f.time) for f in frames]


def facts(place: Path) -> dict:
    return json.loads((place / "stage.json").read_text())["facts"]


def test_films_have_the_driver_s_frames_at_their_times(done):
    alone, times = pictures(done / "avatar.mp4")
    both, times_of_both = pictures(done / "drive.mp4")
    assert times == pytest.approx(TIMES, abs=1e-4) and times_of_both == times
    assert alone[0].shape == (256, 256, 3) and both[0].shape == (256, 512, 3)
    for k in range(FRAMES):
        assert abs(both[k][:, :250].mean() - 20 * k) < 3  # the driver of this very frame
        assert np.abs(both[k][:, 256:].astype(int) - alone[k]).mean() < 2
    assert alone[0].std() > 20


def test_the_avatar_does_what_differs_from_the_driver_s_rest(done):
    p = Performance.read(done / "parameters.npz")
    rest = p.jaw_pose[:5, 0]
    assert np.allclose(rest, rest[0], atol=1e-6)
    assert np.allclose(p.jaw_pose[9, 0] - rest[0], JAW, atol=1e-5)
    assert np.allclose(p.expression[9, 0] - p.expression[0, 0], SMILE, atol=1e-5)
    assert abs(p.expression[0, 3]) < 1e-3  # what the driver always looks like is no expression
    between = (p.R[LOST - 1] + p.R[LOST + 1]) / 2  # the face was lost there
    assert np.allclose(p.R[LOST], between, atol=1e-3)


def test_the_receipt_says_who_and_what(subjects, done):
    stamp = json.loads((done / "stage.json").read_text())
    assert stamp["parts"]["anna/tracking/"] == "tracking" and stamp["parts"]["avatar/"] == "avatar"
    assert facts(done)["frames_out"] == FRAMES and facts(done)["driver"] == "anna"
    assert facts(done)["at_rest"]["driver"] >= 5
    assert images.read_rgb(done / "neutral.jpg").shape == (256, 512, 3)


def test_the_same_again_is_the_same_bytes_and_another_drive_touches_nothing(subjects, done, capsys):
    before = {p: p.read_bytes() for p in done.iterdir()}
    drive(subjects, "anna")
    assert "nothing to do" in capsys.readouterr().out
    drive(subjects, "tour", "--gain=0")
    assert {p: p.read_bytes() for p in done.iterdir()} == before
    drive(subjects, "anna", "--force")
    after = {p: p.read_bytes() for p in done.iterdir()}
    assert {p.name for p in after if after[p] != before[p]} == {"stage.json"}
    assert not done.with_name("anna.partial").exists()


def test_a_killed_run_leaves_the_old_drive_and_the_next_one_goes_on(subjects, done, monkeypatch):
    before = (done / "stage.json").read_bytes()
    monkeypatch.setattr("stages.drive.__main__.rests", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    drive(subjects, "anna", "--yaw=30", code=130)
    assert (done / "stage.json").read_bytes() == before
    monkeypatch.undo()
    assert load("drive").places(Subject(subjects, "roman")).count("drives/anna") == 1
    drive(subjects, "anna")


def test_what_is_not_ours_is_named_with_the_command(subjects, done, capsys):
    (done / "note.txt").write_text("mine")
    drive(subjects, "anna", "--yaw=20", code=Exit.BAD_INPUT)
    said = capsys.readouterr().err
    assert "note.txt" in said and "make drive ID=roman BY=anna OPTIONS=--force" in said
    (done / "note.txt").unlink()


# --- sound -----------------------------------------------------------------------------------------------------------


def loud(path: Path) -> tuple[float, float]:
    """When the tone begins and ends, seconds of the film."""
    at = []
    with av.open(str(path)) as film:
        for frame in film.decode(audio=0):
            values = frame.to_ndarray().astype(float).mean(0)
            values /= 32768 if np.abs(values).max() > 2 else 1
            at += list(frame.time + np.flatnonzero(np.abs(values) > 0.02) / frame.sample_rate)
    return min(at), max(at)


def test_the_sound_is_copied_and_begins_with_the_pictures(done):
    """The recorder began 0.1 s before the first picture, and went on after the last one."""
    assert facts(done)["sound"] == "copied"
    for name in ("avatar.mp4", "drive.mp4"):
        first, last = loud(done / name)
        assert first < 0.03 and abs(last - (TIMES[-1] + 0.04)) < 0.05


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_sound_that_begins_later_begins_later(subjects, tmp_path, codec):
    path = tmp_path / "film.mov"
    video_with_sound(path, codec, 0.2)
    place = drive(subjects, "anna", f"--sound={path}")
    assert facts(place)["sound"] == ("copied" if codec == "aac" else "encoded")
    assert abs(loud(place / "avatar.mp4")[0] - 0.2) < 0.03


def test_a_video_that_is_gone_leaves_no_sound_and_says_so(subjects, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(subjects, data)
    receipt = {"outputs": {"digest": "frames"}, "config": {"video": "/nowhere/film.mp4"}}
    (data / "anna" / "frames" / "stage.json").write_text(json.dumps(receipt))
    place = drive(data, "anna")
    assert facts(place)["sound"] == "none" and "has no sound" in capsys.readouterr().out


# --- who else may drive ----------------------------------------------------------------------------------------------


def test_its_own_parameters_drive_it_to_the_same(subjects, done, tmp_path):
    shutil.copyfile(done / "parameters.npz", tmp_path / "move.npz")
    place = drive(subjects, str(tmp_path / "move.npz"), "--pose=absolute")
    a, b = Performance.read(done / "parameters.npz"), Performance.read(place / "parameters.npz")
    assert np.allclose(a.expression, b.expression, atol=1e-5) and np.allclose(a.jaw_pose, b.jaw_pose, atol=1e-5)
    assert np.allclose(a.R, b.R, atol=1e-6) and np.array_equal(a.times, b.times)
    assert not (place / "drive.mp4").exists()


def test_a_tour_shows_every_direction_that_there_is(subjects):
    place = drive(subjects, "tour")
    p = Performance.read(place / "parameters.npz")
    for x in (p.expression, p.jaw_pose[:, :2], p.eye_pose[:, [0, 1, 3, 4]], p.eyelids):
        assert (np.ptp(x, axis=0) > 0.05).all()
    assert facts(place)["outside"]["frames"] == 0
    assert len(pictures(place / "avatar.mp4")[0]) == len(p)


def test_another_head_model_is_refused(subjects, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(subjects, data)
    path = data / "anna" / "tracking" / "tracker.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"head_model": "flame", "head_model_digest": "0" * 64}))
    shutil.rmtree(data / "roman" / "drives")
    drive(data, "anna", code=Exit.BAD_INPUT)
    assert "make track ID=anna HEAD_MODEL=open" in capsys.readouterr().err
    assert not (data / "roman" / "drives" / "anna").exists()


@pytest.mark.parametrize(
    ("by", "code", "said"),
    [
        ("", Exit.USAGE, "BY=anna"),
        ("nobody", Exit.BAD_INPUT, "make frames ID=nobody"),
        ("no/where.csv", Exit.BAD_INPUT, "no such file"),
        ("a b", Exit.USAGE, "cannot be a subject"),
    ],
)
def test_who_cannot_drive(subjects, capsys, by, code, said):
    drive(subjects, by, code=code)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--pose=up", "--size=100", "--size=257", "--gain=9", "--background=red", "--camera=way"]
)
def test_options_that_mean_nothing(subjects, option, capsys):
    drive(subjects, "anna", option, code=Exit.USAGE)
    assert option[2:].split("=")[0] in capsys.readouterr().err


# --- how it is shown -------------------------------------------------------------------------------------------------


def test_without_a_background(subjects):
    place = drive(subjects, "anna", "--background=alpha")
    with av.open(str(place / "avatar.mov")) as film:
        first = next(film.decode(video=0)).to_ndarray(format="rgba")
    assert first[..., 3].min() < 5 and first[..., 3].max() > 245
    assert pictures(place / "drive.mp4")[0][0][:10, 260:270].min() > 250  # over white
    place = drive(subjects, "anna", "--background=alpha", "--alpha=png")
    names = sorted(os.listdir(place / "avatar"))
    assert names[0] == "00001.png" and len(names) == FRAMES and not (place / "avatar.mov").exists()
    assert images.opened(place / "avatar" / names[0]).mode == "RGBA"


def test_the_ground_s_colour(subjects):
    place = drive(subjects, "anna", "--background=#2040c0")
    assert np.abs(pictures(place / "avatar.mp4")[0][3][:8, :8].reshape(-1, 3).mean(0) - [32, 64, 192]).max() < 6


def test_heads_move_as_asked(subjects):
    own = Performance.read(drive(subjects, "anna", "--pose=own") / "parameters.npz")
    none = Performance.read(drive(subjects, "anna", "--pose=none") / "parameters.npz")
    assert np.ptp(none.R, axis=0).max() == 0 and np.ptp(own.R, axis=0).max() > 0.01
    gained = Performance.read(drive(subjects, "anna", "--gain=0.5") / "parameters.npz")
    assert np.allclose(gained.jaw_pose[9, 0] - gained.jaw_pose[0, 0], JAW / 2, atol=1e-5)


def test_a_driver_s_refined_cameras_are_taken_where_they_are_of_this_tracking(subjects, done, tmp_path):
    """roman's refined/ as anna's: as many frames as there are times, and turns of his own."""
    data = tmp_path / "data"
    shutil.copytree(subjects, data)
    before = Performance.read(drive(data, "anna") / "parameters.npz")
    anna = data / "anna"
    for name in ("dataset", "refined"):
        shutil.copytree(data / "roman" / name, anna / name)
    for name, of, digest in (("dataset", "tracking", "tracking"), ("refined", "dataset", "another")):
        (anna / name / "stage.json").write_text(json.dumps({"outputs": {"digest": name}, "parts": {f"{of}/": digest}}))
    again = Performance.read(drive(data, "anna", "--force") / "parameters.npz")  # of another dataset
    assert np.array_equal(again.R, before.R)
    refined = {"outputs": {"digest": "refined"}, "parts": {"dataset/": "dataset"}}
    (anna / "refined" / "stage.json").write_text(json.dumps(refined))
    place = drive(data, "anna")
    assert json.loads((place / "stage.json").read_text())["config"]["cameras"] == "refined"
    assert np.abs(Performance.read(place / "parameters.npz").R - before.R).max() > 0.01
    tracked = Performance.read(drive(data, "anna", "--cameras=tracked") / "parameters.npz")
    assert np.array_equal(tracked.R, before.R)


def test_the_camera_goes_round_the_head(subjects):
    """From the subject's left the nose is on the left of the picture, and the head stays in it."""
    avatar = Avatar.read(Subject(subjects, "roman"))
    means = avatar.gaussians(Performance.read(drive(subjects, "anna") / "parameters.npz").parameters(0))[0]
    nose = means[means[:, 2].argmax()]
    pivot = means.mean(0)
    rotation, translation = np.diag([1.0, -1, -1]), np.array([0, 0, 1.0])
    turn, shift = orbit.around(rotation, translation, pivot, 0.5)
    at = [turn @ x + shift for x in (nose, pivot)]
    assert np.allclose(at[1], rotation @ pivot + translation, atol=1e-6)
    assert at[0][0] < at[1][0] - 0.02
    turn, shift = orbit.around(rotation, translation, pivot, 0.0, 0.5, 2.0)
    at = [turn @ x + shift for x in (nose, pivot)]
    assert at[0][1] > at[1][1] + 0.02  # from above the nose is low
    assert np.allclose(at[1], (rotation @ pivot + translation) / [1, 1, 2], atol=1e-6)


def test_the_camera_goes_a_way(subjects, tmp_path, capsys):
    """At the times of the file, straight in between; a copy at another place is the same way."""
    still = pictures(drive(subjects, "anna") / "avatar.mp4")[0]
    (tmp_path / "way.csv").write_text("Time,yaw,zoom\n0,0,1\n0.1,0,1\n0.3,40,1\n")
    moved = pictures(drive(subjects, "anna", f"--camera={tmp_path / 'way.csv'}") / "avatar.mp4")[0]
    far = [np.abs(a.astype(int) - b).mean() for a, b in zip(still, moved, strict=True)]
    assert far[-1] > 4 * far[0]  # which the film's compression makes
    at = orbit.read(tmp_path / "way.csv", np.array([0, 0.2, 9.0]))
    np.testing.assert_allclose(np.degrees(at.yaw), [0, 20, 40])
    assert at.pitch.tolist() == [0, 0, 0] and at.zoom.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yaw\n1\n", "is no way of a camera"),
        ("time,yaw\n0,a\n", "cannot be read"),
        ("time,yaw\n0\n", "cannot be read"),
        ("time,yaw\n", "has no rows"),
        ("time,yaw\n1,0\n0,0\n", "times rise"),
        ("time,yaw\n0,nan\n", "has no rows of numbers"),
        ("time,zoom\n0,0\n", "zoom must be"),
    ],
)
def test_what_is_no_way_is_said(tmp_path, text, said):
    (tmp_path / "way.csv").write_text(text)
    with pytest.raises(StageError, match=said):
        orbit.read(tmp_path / "way.csv", np.zeros(1))
