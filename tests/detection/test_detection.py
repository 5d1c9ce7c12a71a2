"""The bundled MediaPipe graphs on a public-domain portrait: scikit-image's astronaut, face about (225, 120)."""

import time

import numpy as np
import pytest

data = pytest.importorskip("skimage.data")

from avatarmake.detection import N_LANDMARKS, FaceDetector, FaceLandmarker, FaceMesh, SelfieSegmenter  # noqa: E402
from avatarmake.errors import Exit, StageError  # noqa: E402

NOSE_TIP, RIGHT_EYE_OUTER, LEFT_EYE_OUTER, CHIN, RIGHT_IRIS, LEFT_IRIS = 1, 33, 263, 152, 468, 473
BLACK = np.zeros((96, 128, 3), np.uint8)


@pytest.fixture(scope="module")
def portrait():
    return data.astronaut()


def test_mesh_finds_the_face_in_pixels(portrait):
    with FaceMesh() as mesh:
        points = mesh.detect(portrait)
        assert mesh.detect(BLACK) is None
    assert points.shape == (N_LANDMARKS, 3) and points.dtype == np.float32
    assert np.abs(points[NOSE_TIP, :2] - (225, 123)).max() < 12
    assert points[RIGHT_EYE_OUTER, 0] < points[RIGHT_IRIS, 0] < points[LEFT_IRIS, 0] < points[LEFT_EYE_OUTER, 0]
    assert points[CHIN, 1] > points[NOSE_TIP, 1] and points[NOSE_TIP, 2] < points[CHIN, 2]


def test_following_mesh_forgets_at_restart(portrait):
    moved = np.roll(portrait, (12, 20), (0, 1))
    with FaceMesh(static=False) as mesh:
        first = mesh.detect(moved)
        mesh.detect(portrait)
        followed = mesh.detect(moved)
        mesh.restart()
        again = mesh.detect(moved)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, followed)  # it does follow: the state is real


def test_of_two_faces_the_central_one(portrait):
    face = portrait[20:260, 100:340]
    image = np.full((240, 720, 3), 128, np.uint8)
    image[:, :240], image[:, 300:540] = face, face
    with FaceMesh(faces=2) as mesh:
        assert 300 < mesh.detect(image)[NOSE_TIP, 0] < 540
    with FaceDetector() as detector:
        boxes = detector.detect(image)
    assert len(boxes) == 2 and (np.diff(boxes[:, 4]) <= 0).all()


@pytest.fixture(scope="session")
def task(shared_data):
    path = shared_data / "face_landmarker.task"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path


def test_landmarker_agrees_with_the_mesh_and_scores_the_expression(portrait, task):
    with FaceLandmarker(task) as landmarker, FaceMesh() as mesh:
        assert landmarker.examine(BLACK) is None is landmarker.detect(BLACK)
        points, scores = landmarker.examine(portrait)
        assert np.median(np.linalg.norm(points[:, :2] - mesh.detect(portrait)[:, :2], axis=1)) < 2
        again, same = landmarker.examine(portrait)
    assert points.shape == (N_LANDMARKS, 3) and points.dtype == scores.dtype == np.float32
    assert scores.shape == (52,) and scores[[9, 10]].max() < 0.4 and scores[[44, 45]].min() > 0.5  # she smiles
    assert np.array_equal(points, again) and np.array_equal(scores, same)


def test_landmarker_of_two_faces_the_central_one(portrait, task):
    face = portrait[20:260, 100:340]
    image = np.full((240, 720, 3), 128, np.uint8)
    image[:, :240], image[:, 300:540] = face[:, ::-1], face
    with FaceLandmarker(task, faces=2) as landmarker:
        assert 300 < landmarker.detect(image)[NOSE_TIP, 0] < 540


@pytest.mark.parametrize("content", [None, b"no model"])
def test_what_is_no_landmarker(tmp_path, content, capfd):
    path = tmp_path / "face_landmarker.task"
    if content:
        path.write_bytes(content)
    with pytest.raises(StageError, match="is no Face Landmarker") as e:
        FaceLandmarker(path)
    assert e.value.exit == Exit.MISSING_ASSET and capfd.readouterr().err == ""


def test_boxes_are_pixels(portrait):
    with FaceDetector() as detector:
        boxes = detector.detect(portrait)
        assert detector.detect(BLACK).shape == (0, 5)
    x0, y0, x1, y1, score = boxes[0]
    assert len(boxes) == 1 and 0.5 < score <= 1
    assert x0 < 225 < x1 and y0 < 120 < y1 and 60 < x1 - x0 < 200


def test_silhouette(portrait):
    with SelfieSegmenter() as segmenter:
        alpha = segmenter.alpha(portrait)
    assert alpha.shape == portrait.shape[:2] and alpha.dtype == np.uint8
    assert alpha[120, 225] > 200 and alpha[60, 20] < 60


def test_nothing_is_printed(portrait, capfd):
    with FaceMesh() as mesh, FaceMesh(static=False, faces=2) as following, FaceDetector() as boxes:
        following.restart()
        time.sleep(0.2)  # graphs start in threads of their own
        for image in (BLACK, portrait, portrait):
            assert (mesh.detect(image) is None) == (following.detect(image) is None) == (len(boxes.detect(image)) == 0)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_by_the_landmarker_either(portrait, task, capfd):
    with FaceLandmarker(task) as landmarker:
        time.sleep(0.2)
        assert [landmarker.detect(image) is None for image in (BLACK, portrait, BLACK)] == [True, False, True]
    assert capfd.readouterr() == ("", "")
