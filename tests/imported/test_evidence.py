"""What reprojects wrongly is refused, and says by how much. A real face: scikit-image's astronaut (public domain)."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")
data = pytest.importorskip("skimage.data")

from avatarmake import head_model  # noqa: E402
from avatarmake.contract.layout import frame_image  # noqa: E402
from avatarmake.errors import StageError  # noqa: E402
from avatarmake.formats.frame import FrameRecord  # noqa: E402
from avatarmake.formats.images import resize, write_jpeg  # noqa: E402
from avatarmake.geometry import cameras  # noqa: E402
from stages.imported import evidence  # noqa: E402
from tests.imported.sources import LEVEL  # noqa: E402

FRAMES, FOCAL, STEP = 8, 1500.0, 512 / 300  # px that the face moves to the side from frame to frame
WAY = (0, 3, 1, 5, 2, 6, 1, 4)  # where it is, in steps: it strays so that neighbours differ


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for i, place in enumerate(WAY):
        write_jpeg(frame_image(folder, i + 1), resize(data.astronaut()[0:300, 80 - place : 380 - place], (512, 512)))
    return folder


@pytest.fixture(scope="module")
def seen(frames):
    return evidence._detected(frames, list(range(FRAMES)))


@pytest.fixture(scope="module")
def records(seen):
    """The neutral open head where the faces are."""
    head, k = head_model.load("open"), cameras.intrinsics_from_focal(FOCAL, (512, 512))
    ids = [i for i in head.landmark_ids if i < 468]
    points = head.at_landmarks(np.array(ids))
    rest = points.landmarks(points.v_template[None])[0].astype(np.float64)
    made = []
    for i in range(FRAMES):
        r, t = evidence._pose(rest, seen[i][ids], k)
        level = {"jaw_rot6d": LEVEL, "eyes_rot6d": np.tile(LEVEL, 2), "eyelids": np.zeros(2, np.float32)}
        zeros = {"shape": np.zeros(300, np.float32), "expression": np.zeros(100, np.float32)}
        made.append(FrameRecord(**zeros, **level, R=r, t=t, intrinsics=k))
    return made


@pytest.fixture
def gather(frames, seen, monkeypatch):
    monkeypatch.setattr(evidence, "_detected", lambda folder, sample: {i: seen[i] for i in sample if i in seen})
    return lambda records, head: evidence.gather(frames, records, head)


@pytest.fixture(params=["with the head model", "without"])
def head(request):
    return head_model.load("open") if request.param == "with the head model" else None


def changed(records, **values):
    return [replace(r, **{name: change(getattr(r, name)) for name, change in values.items()}) for r in records]


def test_a_good_tracking_stands(gather, records, head):
    found = gather(records, head)
    assert found.facts["faces_compared"] == FRAMES
    if head:
        assert found.facts["landmark_error_pct"]["median"] < evidence.DOUBTED
    else:
        assert found.facts["turned_degrees"] < 5


def test_a_k_of_half_the_size(gather, records, head):
    half = changed(records, intrinsics=lambda k: np.diag([0.5, 0.5, 1]) @ k)
    with pytest.raises(StageError, match="expected less than"):
        gather(half, head)


def test_axes_that_are_another_s(gather, records, head):
    """Upside down, and mirrored twice: rotations, in front of the camera, that nothing else finds fault with."""
    for axes in ((-1, -1, 1), (-1, 1, -1)):
        with pytest.raises(StageError, match="expected less than"):
            gather(changed(records, R=lambda r, axes=axes: r * axes), head)


def test_by_how_much(gather, records):
    """A principal point 60 px off: the shift is named."""
    moved = changed(records, intrinsics=lambda k: k + np.array([[0, 0, 60], [0, 0, -20], [0, 0, 0]]))
    with pytest.raises(StageError, match=r"a shift of \(-60, \+20\)"):
        gather(moved, head_model.load("open"))


@pytest.mark.parametrize("shift, word", [(1, "after"), (-1, "before")])
def test_pictures_paired_with_the_neighbour_s_parameters(gather, records, head, shift, word):
    paired = [records[min(max(i + shift, 0), FRAMES - 1)] for i in range(FRAMES)]
    with pytest.raises(StageError, match=f"belong to the picture {word}"):
        gather(paired, head)


def test_without_a_face_nothing_is_concluded(frames, records, monkeypatch):
    monkeypatch.setattr(evidence, "_detected", lambda folder, sample: {})
    found = evidence.gather(frames, records, None)
    assert not found.facts and "nothing could be compared" in found.lines[0]


def test_the_picture_of_it(frames, gather, records, tmp_path):
    from avatarmake.formats.images import read_rgb

    found = gather(records, head_model.load("open"))
    evidence.draw(frames, found, tmp_path / "evidence.jpg")
    assert read_rgb(tmp_path / "evidence.jpg").shape == (512, 4 * 512, 3)
