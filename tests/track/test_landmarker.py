"""Detecting with the user's face_landmarker.task: skipped where the real file is not."""

import json

import numpy as np
import pytest

from avatarmake.contract.layout import tracking_file
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit
from avatarmake.formats.tracking import read_tracking
from stages.track.landmarks import LandmarkerDetector


def test_it_is_taken_where_it_is(film, tmp_path, track, request):
    """And one that comes later means to track again; both are said and recorded."""
    subject = film(tmp_path, 6, blank=[2])
    _, out, _ = track(subject)
    directory = subject.directory("tracking")
    assert "face mesh of mediapipe, as assets/ has no face_landmarker.task" in out
    assert read_tracking(tracking_file(directory, 0)).blendshapes is None
    request.getfixturevalue("landmarker")
    code, out, err = track(subject)
    assert code == Exit.OK and "assets/face_landmarker: none -> " in out and "detector: face_landmarker.task" in out
    facts = receipt(directory)["facts"]
    tracker = json.loads((directory / "tracker.json").read_text())
    assert facts["detector"] == tracker["detector"] == "landmarker" and facts["missing"] == [2]
    frame = read_tracking(tracking_file(directory, 5))
    scores = frame.blendshapes
    assert scores.shape == (52,) and scores.max() > 0.3
    assert not np.allclose(scores, read_tracking(tracking_file(directory, 0)).blendshapes)
    assert not np.array_equal(frame.eyelids, scores[[9, 10]])
    assert track(subject, "--eyelids", "scores")[0] == Exit.OK
    assert np.array_equal(read_tracking(tracking_file(directory, 5)).eyelids, scores[[9, 10]])
    assert receipt(directory)["facts"]["eyelids"] == "scores"
    assert track(subject, "--detector", "mesh")[0] == Exit.OK
    assert receipt(directory)["facts"]["detector"] == "mesh"


def test_frames_do_not_depend_on_the_chunk(film, tmp_path, landmarker):
    frames = film(tmp_path, 12, blank=[5]).directory("frames")
    detector = LandmarkerDetector(frames, landmarker)
    found, late = list(detector.follow(0, 12)), list(detector.follow(4, 9))
    detector.close()
    assert [i for i, f in enumerate(found) if f.landmarks is None or f.blendshapes is None] == [5]
    for a, b in zip(found[4:9], late, strict=True):
        assert np.array_equal(a.landmarks, b.landmarks) and np.array_equal(a.blendshapes, b.blendshapes)


@pytest.mark.parametrize("options", [("--detector", "landmarker"), ("--eyelids", "scores")])
def test_without_the_file(film, tmp_path, track, options):
    code, _, err = track(film(tmp_path, 3), *options)
    assert code == Exit.MISSING_ASSET and "face_landmarker.task" in err and "Apache-2.0" in err


def test_scores_without_their_network(film, tmp_path, track):
    code, _, err = track(film(tmp_path, 3), "--eyelids", "scores", "--detector", "mesh")
    assert code == Exit.USAGE and "landmarker" in err


def test_a_file_that_is_no_model(film, tmp_path, track, assets):
    path = assets / "face_landmarker.task"
    path.write_bytes(b"half a download")
    try:
        code, _, err = track(film(tmp_path, 3))
    finally:
        path.unlink()
    assert code == Exit.MISSING_ASSET and str(path) in err and "GET=face_landmarker" in err and "Traceback" not in err
