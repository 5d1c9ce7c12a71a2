"""The report of a subject in miniature: a film that plays, figures that are complete, a page that stands alone."""

import html
import json
import re

import av
import numpy as np
import pytest

from avatarmake.contract import layout
from avatarmake.contract.key import key_parts
from avatarmake.errors import Exit
from avatarmake.formats import images
from stages.report import STAGE, ReportConfig, charts, truth
from tests import synthetic
from tests.report.conftest import BLOCKS, FRAMES, LAST, LIVE


def metrics(subject):
    return json.loads((subject.directory("report") / "metrics.json").read_text())


def page(subject):
    return (subject.directory("report") / "index.html").read_text()


def test_metrics_are_complete(reported):
    m = metrics(reported[0])
    assert m["frames"] == {"source": 2 * FRAMES, "used": FRAMES, "tracked": FRAMES, "fps": 25}
    assert m["tracking"]["landmark_error_px"] == {"median": 1.25, "p95": 2.5}
    assert m["tracking"]["landmark_error_pct"]["median"] == 1.25
    assert (m["tracking"]["jitter_px"], m["tracking"]["jitter_px_raw"]) == (0.5, 0.8)
    assert m["tracking"]["truth"] is None
    assert 0 < m["convert"]["reprojection_px_max"] < 0.01
    assert m["masks"] == {"images": FRAMES, "truth": None}
    last = {"psnr_full": 18.5, "psnr_head": 15.5, "ssim": 0.9}
    fitted = {"psnr_full": 20.5, "psnr_head": 17.5, "ssim": 2.9}
    fit = {"frames": 1, "as_tracked": last, "as_fitted": fitted}
    assert m["avatar"]["last"] == {"frames": 2, **last, "fit": fit}
    assert m["avatar"]["blocks"]["psnr_head"] == 23.0
    assert (m["avatar"]["gaussians"], m["avatar"]["iterations"], m["avatar"]["resolution"]) == (500, 40, 64)


def test_prints_the_figures_and_where_the_page_is(reported):
    subject, out = reported
    assert "12 of 12" in out and "26.00 dB whole picture" in out
    assert "as tracked 18.50" in out and "20.50" in out
    assert f"report: {subject.directory('report') / 'index.html'}" in out


def test_the_page_stands_alone(reported):
    text = page(reported[0])
    assert not re.findall(r'(?:src|href|poster)="(?!data:)', text)
    assert "http://" not in text and "https://" not in text and "<script" not in text
    assert 'src="data:video/mp4;base64,' in text
    assert text.count("data:image/jpeg;base64,") >= 12  # poster, samples of tracking and masks, worst, previews
    assert "20.50 dB" in text and "as fitted" in text
    for words in ("Frame 12", "12 pictures", "500 Gaussians", "prefers-color-scheme: dark", "width=device-width"):
        assert words in text, words
    assert "a &lt;b&gt;note&lt;/b&gt;" in text.lower()  # what others wrote is text, not markup
    assert "undefined" not in text.lower() and "nan" not in re.sub(r"base64,[^\"]*", "", text).lower().split()


def test_the_live_avatar_is_a_page_within_the_page(reported, finished, report):
    """As it is, in a frame of its own; of a licensed head model there is none."""
    frame = re.search(r'<iframe [^>]*srcdoc="([^"]*)"', page(reported[0]))
    assert html.unescape(frame[1]) == LIVE
    subject = finished()
    synthetic.finish(subject.directory("view"), live=False)
    report(subject)
    assert "<iframe" not in page(subject) and "the avatar</p>" not in page(subject)


def test_the_film(reported):
    with av.open(reported[0].directory("report") / "test.mp4") as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 25
        shown = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert len(shown) == len(LAST + BLOCKS)
    assert shown[0].shape[1] == 1024
    picture = shown[0][-512:]
    assert np.abs(picture[256, 256].astype(int) - [200, 150, 120]).max() < 12  # left: the recording
    assert np.abs(picture[256, 768].astype(int) - [210, 140, 110]).max() < 12  # right: the avatar
    for corner in (picture[5, 5], picture[5, 1018]):  # both over white: background composited away
        assert corner.min() > 245


def test_same_bytes_again(reported, report):
    subject = reported[0]
    root = subject.directory("report")
    before = {n: (root / n).read_bytes() for n in ("test.mp4", "metrics.json", "index.html")}
    report(subject, "--force")
    assert before == {n: (root / n).read_bytes() for n in before}


def test_of_the_runs_before_nothing_but_what_they_made(finished, report):
    """Other hosts, other times, the same report; what they took is printed."""
    subject, made, said = finished(), [], []
    for run in (
        {"seconds": 1.5, "environment": {"engine": "local"}, "host": {"cpu": "one", "cores": 2}},
        {"seconds": 187.0, "environment": {"engine": "docker"}, "host": {"cpu": "another", "cores": 64}},
    ):
        stamp = subject.directory("avatar") / "stage.json"
        parts = {"iterations": "40", "code": "c0de"}
        stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "key": "1ock", "parts": parts, **run}))
        said.append(report(subject, "--force")[1])
        made.append((subject.directory("report") / "SHA256SUMS").read_text())
    assert made[0] == made[1]
    assert "train 1.5 s" in said[0] and "train 3 min 07 s" in said[1]
    assert "iterations" in page(subject) and "c0de" in page(subject) and "1ock" in page(subject)


def test_nothing_unseen(finished, report):
    """A video of a few frames: all are trained on. No film, no figures, but a page that says so."""
    subject = finished(last=[], blocks=[])
    assert report(subject)[0] == Exit.OK
    assert not (subject.directory("report") / "test.mp4").exists()
    assert "no unseen frames to judge it by" in page(subject)
    assert metrics(subject)["avatar"]["last"]["psnr_full"] is None


def test_upstreams_tracking_has_no_figures(finished, report):
    subject = finished()
    stamp = subject.directory("tracking") / "stage.json"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "facts": {}}))
    assert report(subject)[0] == Exit.OK
    assert metrics(subject)["tracking"]["landmark_error_px"] is None


@pytest.mark.parametrize(
    ("directory", "file", "words"),
    [
        ("avatar", "test/00004.png", "00004.png: was not rendered. Run: make train ID=fake"),
        ("avatar", "evaluation.json", "evaluation.json: cannot be read"),
        ("masks", "alpha/00004.jpg", "00004.jpg: there is no such image"),
        ("dataset", "index.json", "index.json: cannot be read"),
        ("avatar", "stage.json", "avatar: is not a finished stage's directory. Run: make train ID=fake"),
    ],
)
def test_what_is_missing_is_named(finished, report, directory, file, words):
    subject = finished()
    (subject.directory(directory) / file).unlink()
    code, _, err = report(subject)
    assert code == Exit.BAD_INPUT and words in err and "Traceback" not in err
    assert not subject.directory("report").exists()


# --- truth ---


def test_truth_that_was_hit(finished, report):
    subject = finished(truth=True)
    assert report(subject)[0] == Exit.OK
    t = metrics(subject)["tracking"]["truth"]
    assert t["eyelid_correlation"] == {"left": pytest.approx(1), "right": pytest.approx(1)}
    assert t["landmark_error_px"]["median"] < 1e-3
    assert t["rotation_error_degrees"]["median"] < 0.01
    assert t["translation_error_mm"]["sideways"] < 0.01 and t["translation_error_mm"]["depth"] < 0.01
    assert t["expression_correlation"] == pytest.approx(1)
    assert t["face_motion_explained"] == pytest.approx(1)
    assert t["gaze_correlation"] == {"up_down": None, "sideways": None}  # it does not move there either
    assert t["jaw_correlation"] is None  # it does not move there
    assert t["focal_error_pct"] == pytest.approx(0, abs=1e-4)
    assert "Blinks, truth and tracked" in page(subject)


def test_truth_that_was_missed(finished, report):
    subject = finished(truth=True)
    with np.load(subject.truth) as npz:
        there = dict(npz)
    turn = np.array([[np.cos(0.1), 0, np.sin(0.1)], [0, 1, 0], [-np.sin(0.1), 0, np.cos(0.1)]])
    there["R"] = there["R"] @ turn
    there["eyelids"] = there["eyelids"][:, ::-1]
    there["expression"] = -there["expression"]
    there["intrinsics"][0, 0] *= 2
    np.savez(subject.truth, **there)
    report(subject)
    t = metrics(subject)["tracking"]["truth"]
    assert t["rotation_error_degrees"]["median"] == pytest.approx(np.degrees(0.1), abs=0.01)
    assert t["eyelid_correlation"]["left"] < 0.9
    assert t["face_motion_explained"] < 0
    assert t["focal_error_pct"] == pytest.approx(-50, abs=0.01)


def test_gaze_counts_while_the_eye_is_open():
    rng = np.random.default_rng(0)
    eyes, closure = rng.normal(size=(20, 6)), np.zeros((20, 2))
    closure[15:, 0] = 0.9
    tracked = eyes.copy()
    tracked[15:, :3] = 7  # nobody sees where a closed eye looks
    tracked[:, 4] *= -1  # the right eye's, sideways
    found = truth._gaze(tracked, eyes, closure)
    assert found == {"up_down": pytest.approx(1), "sideways": pytest.approx(-1)}


def test_who_was_seen_and_what_counts_less(reported, finished, report):
    assert "Who was seen" not in page(reported[0]) and "What counts less" not in page(reported[0])
    subject = finished()
    frames, tracking = subject.directory("frames"), subject.directory("tracking")
    crop, tracker = (json.loads(p.read_text()) for p in (frames / "crop.json", tracking / "tracker.json"))
    seen = [("right", 1.0, True), ("left", 0.25, False)]
    crop["faces"] = [{"where": where, "share": share, "taken": taken} for where, share, taken in seen]
    crop |= {"repeats": [3, 4], "black": []}
    (frames / "people").mkdir()
    for n in (1, 2):
        images.write_jpeg(layout.person_image(frames, n), np.zeros((160, 160, 3), np.uint8))
    (frames / "crop.json").write_text(json.dumps(crop))
    (tracking / "tracker.json").write_text(json.dumps(tracker | {"covered": [5, 6, 7], "blurred": []}))
    assert report(subject)[0] == Exit.OK
    text = page(subject)
    assert "1 · right · 100 % of the video · taken" in text and "2 · left · 25 % of the video<" in text
    assert "The face is mostly covered" in text and "<td>6-8</td>" in text and "<td>4-5</td>" in text
    assert "picture 7: the face is mostly covered" in text and "picture is black" not in text
    assert metrics(subject)["doubts"] == {"covered": 3, "blurred": 0, "repeats": 2, "black": 0}


def test_truth_is_part_of_the_key(finished):
    """No stage's directory has changed, and yet the report has to be made again."""
    subject = finished(truth=True)
    keys = []
    for closed in (1.0, 1.0, 0.5):
        with np.load(subject.truth) as npz:
            there = dict(npz)
        there["eyelids"] = there["eyelids"] * closed
        np.savez(subject.truth, **there)
        keys.append(key_parts(STAGE, subject, ReportConfig())["truth"])
    assert keys[0] == keys[1] != keys[2]


def test_broken_truth(finished, report):
    subject = finished(truth=True)
    subject.truth.write_bytes(b"PK")
    code, _, err = report(subject)
    assert code == Exit.BAD_INPUT and "truth.npz: cannot be read" in err


def test_a_crop_beside_the_optical_axis_turns_the_camera():
    """The crop's camera looks through the crop's centre: the head's origin, seen there, lies on its axis."""
    k = np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])
    centre = np.array([700.0, 400.0])
    t = 2 * np.array([[(centre[0] - 500) / 1000, (centre[1] - 500) / 1000, 1.0]])
    r, turned, focal = truth.crop_camera(np.eye(3)[None], t, k, [centre[0] - 128, centre[1] - 128, 256], 512)
    np.testing.assert_allclose(turned[0, :2], 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(r), 1)
    assert focal == 2000


# --- charts ---


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 5, 10]), (20.3, 31.2, [20, 25, 30, 35]), (0.5, 0.5, [0, 0.5, 1]), (-3, 120, [-50, 0, 50, 100, 150])],
)
def test_ticks_are_round_and_cover(low, high, expected):
    assert charts.nice_ticks(low, high, 4) == expected


def test_chart_stays_inside_its_frame():
    line = charts.Line("<x>", [0, 1, 2, 3], [1.0, 5.0, -2.0, 40.0])
    svg = charts.line_chart([line, line], "steps", "dB", "a & b", y_range=(0, 10))
    assert "<x>" not in svg and "a &amp; b" in svg
    points = re.search(r'points="([^"]*)"', svg)[1].split()
    ys = [float(p.split(",")[1]) for p in points]
    assert min(ys) >= charts.TOP - 0.1 and max(ys) <= charts.HEIGHT - charts.BOTTOM + 0.1


def test_long_series_are_thinned_and_gaps_left_out():
    x, y = charts.thinned(range(10_000), [np.nan, *range(9_999)])
    assert len(x) == 600 and np.isfinite(y).all()
    assert charts.line_chart([charts.Line("", [], [])], "", "", "") == ""
