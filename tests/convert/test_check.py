"""The two projections agree, and every known mistake moves the picture by what it is known to."""

import numpy as np
import pytest

from avatarmake.formats.frame import read_frame, write_frame
from avatarmake.geometry import cameras, rotations
from stages.convert import check
from stages.convert.record import convert
from tests import synthetic
from tests.rounding import rounding

pytestmark = pytest.mark.numbers
# px: the frames hold float32, seen at 1300 / 0.9 px a metre; points and positions are up to 1 m from the origin
FLOAT32 = rounding(1) * 1300 / 0.9


@pytest.fixture(scope="module")
def tracked():
    return [synthetic.performance(i) for i in range(8)]


@pytest.fixture
def records(tracked, tmp_path):
    """As they are after having been on disk, in float32."""
    read = []
    for i, t in enumerate(tracked):
        write_frame(tmp_path / f"{i}.frame", convert(t, str(i)), i)
        read.append(read_frame(tmp_path / f"{i}.frame"))
    return read


@pytest.fixture
def error(tracked, records, head):
    """Mean and largest error in px of `records` after somebody changed them."""

    def measure(first=None):
        with np.errstate(divide="ignore", invalid="ignore"):
            shown = check.seen_by_trainer(records, first or records[0], head, 512)
        e = check.reprojection_errors(check.seen_by_tracker(tracked, head, 512), shown)
        return e.mean(), e.max()

    return measure


def test_exact(error):
    assert error()[1] < FLOAT32


def test_tracker_side_is_opencvs_projection(tracked, head):
    """The independent path against geometry/cameras.py, which track uses."""
    seen = check.seen_by_tracker(tracked, head, 512)
    t = tracked[3]
    points = head.vertices(t.shape, t.expression[None], t.jaw_pose[None], t.eye_pose[None], t.eyelids[None])
    points = head.landmarks(points)
    r, translation = cameras.extrinsics_from_cam(t.cam)
    np.testing.assert_allclose(seen[3], cameras.project(points[0], r, translation, t.intrinsics), atol=FLOAT32)


def test_frontal_camera_is_upright():
    t = synthetic.performance(0)
    t.cam = np.array([0, 0, 0, 0, 0, 1.0])
    r = convert(t, "")
    np.testing.assert_array_equal(r.R, np.diag([1, -1, -1]))  # sines of 0 and cosines of 0 are exact
    np.testing.assert_array_equal(r.t, [0, 0, 1])


def broken_camera(records, tracked, rebuild):
    for r, t in zip(records, tracked, strict=True):
        rc = check._euler(*(np.array([a]) for a in t.cam[:3]))[0]
        r.R, r.t = rebuild(rc, np.asarray(t.cam[3:]))


@pytest.mark.parametrize(
    ("name", "rebuild"),
    [
        ("the pose taken as world-to-camera", lambda rc, c: (cameras.FLIP @ rc, cameras.FLIP @ c)),
        ("no flip of y and z", lambda rc, c: (rc.T, -rc.T @ c)),
        ("the flip on the world's side", lambda rc, c: (rc.T @ cameras.FLIP, -rc.T @ cameras.FLIP @ c)),
        ("the position not turned", lambda rc, c: (cameras.FLIP @ rc.T, -cameras.FLIP @ c)),
    ],
)
def test_camera_mistakes_are_seen(error, records, tracked, name, rebuild):
    broken_camera(records, tracked, rebuild)
    assert error()[1] > 10, name


def test_angles_read_by_their_names_are_seen(error, records, tracked):
    """yaw about Z, pitch about Y, roll about X, as upstream's docstring says and its code does not."""
    for r, t in zip(records, tracked, strict=True):
        c0, c1, c2 = t.cam[:3]
        r.R, r.t = cameras.extrinsics_from_cam(np.array([c1, c2, c0, *t.cam[3:]]))
    assert error()[1] > 10


def test_intrinsics_not_scaled_are_seen(error, records):
    records[0].intrinsics = np.diag([0.5, 0.5, 1]) @ records[0].intrinsics
    assert error()[1] > 10


def test_image_size_of_the_tracker_is_seen(error, records):
    """K x 2 beside img_size 256: FlashAvatar would take twice the tangent of the field of view."""
    records[0].image_size = (256, 256)
    assert error()[1] > 10


def test_focal_length_of_frame_0_only_is_seen(error, records):
    records[0].intrinsics = np.diag([1.05, 1.05, 1]) @ records[0].intrinsics
    assert error()[1] > 1


def test_6d_by_columns_closes_the_jaw_and_is_seen(error, records, tracked):
    for r, t in zip(records, tracked, strict=True):
        jaw = rotations.matrix_from_axis_angle(t.jaw_pose)
        r.jaw_rot6d = jaw[:, :2].T.ravel()  # roma's
        turned = rotations.axis_angle_from_matrix(rotations.matrix_from_rot6d(r.jaw_rot6d))
        np.testing.assert_allclose(turned, -t.jaw_pose, atol=rounding(6))
    assert error()[1] > 0.1


def test_eyes_swapped_are_seen(error, records):
    for r in records:
        r.eyes_rot6d = np.roll(r.eyes_rot6d, 6)
    assert error()[1] > check.TOLERANCE_PX


def test_eyelids_swapped_are_seen(error, records):
    for r in records:
        r.eyelids = r.eyelids[::-1]
    assert error()[1] > check.TOLERANCE_PX


def test_another_shape_is_seen(error, records):
    records[0].shape = np.zeros(300, np.float32)
    assert error()[1] > check.TOLERANCE_PX
