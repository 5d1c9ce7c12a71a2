"""The identities that docs/conventions.md states and no other test holds; the letters are the page's."""

import numpy as np
import pytest

from avatarmake.formats import images, torch_archive
from avatarmake.formats.frame import write_frame
from avatarmake.geometry import cameras
from avatarmake.geometry.rotations import matrix_from_axis_angle
from stages.convert.record import convert
from tests.synthetic import performance

LEFT, UP, FRONT = np.eye(3)  # the world's axes, as the subject has them


@pytest.mark.parametrize(
    ("angles", "stands"),
    [((0.3, 0, 0), LEFT), ((-0.3, 0, 0), -LEFT), ((0, 0.3, 0), -UP), ((0, -0.3, 0), UP), ((0, 0, 0.3), None)],
)
def test_where_a_camera_stands_that_looks_at_the_head(angles, stands):
    """c0 > 0: on the subject's left; c1 > 0: below. It sees the origin in the middle, 0.9 m away."""
    c0, c1, _ = angles
    back = np.array([np.sin(c0), -np.sin(c1), np.cos(c0 + c1)])  # where its own z axis points, away from the head
    r, t = cameras.extrinsics_from_cam(np.concatenate([angles, 0.9 * back]))
    np.testing.assert_allclose(t, [0, 0, 0.9], atol=1e-12)
    np.testing.assert_allclose(-r.T @ t, 0.9 * back, atol=1e-12)  # its place in the world
    assert stands is None or stands @ back > 0.2


def test_a_rolled_camera_turns_the_picture_clockwise():
    r, t = cameras.extrinsics_from_cam(np.array([0, 0, 0.3, 0, 0, 0.9]))
    top = cameras.project(0.1 * UP[None], r, t, cameras.intrinsics_from_focal(1000, (512, 512)))[0]
    assert top[0] > 256 + 10 and top[1] < 256


def test_signs_of_jaw_and_eyes():
    """Positive x opens the jaw and lowers the gaze; positive y turns an eye to the subject's left."""
    about_x, about_y = (matrix_from_axis_angle(0.2 * axis) for axis in (LEFT, UP))
    chin = np.array([0, -0.05, 0.08])  # from the jaw's joint
    assert (about_x @ chin - chin) @ UP < -0.01
    assert about_x @ FRONT @ UP < -0.1 and about_y @ FRONT @ LEFT > 0.1


@pytest.mark.parametrize(("size", "centre"), [((512, 512), (256, 256)), ((640, 480), (300, 250))])
def test_pytorch3d_ndc_shows_the_same_pixels(tmp_path, size, centre):
    """u = w/2 - s x_ndc, with s half of the shorter side, x_ndc = fl x / z + pp, and the point in PyTorch3D's view."""
    record = convert(performance(7), "frame 7")
    record.image_size, record.intrinsics = size, np.array([[900.0, 0, centre[0]], [0, 900, centre[1]], [0, 0, 1]])
    write_frame(tmp_path / "0.frame", record, frame_id=0)
    camera = torch_archive.load(tmp_path / "0.frame")["camera"]
    points = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 3))
    view_r, view_t = cameras.pytorch3d_view(record.R, record.t)
    x, y, z = (points @ view_r + view_t).T
    np.testing.assert_allclose(camera["t"][0], view_t, atol=1e-6)
    half = min(size) / 2
    ndc = camera["fl"][0] * np.stack([x, y], -1) / z[:, None] + camera["pp"][0]
    pixels = np.array(size) / 2 - half * ndc
    np.testing.assert_allclose(pixels, cameras.project(points, record.R, record.t, record.intrinsics), atol=1e-3)


@pytest.mark.parametrize(("source", "side"), [(300, 512), (900, 512), (512, 256)])
def test_resizing_takes_a_point_at_x_to_s_x(source, side):
    """A round blot's centre of mass, pixel centres at +0.5, goes where the formula says."""
    x, y = 0.43 * source, 0.61 * source
    columns = np.arange(source) + 0.5
    blot = np.exp(-((columns - x) ** 2 + (columns[:, None] - y) ** 2) / (2 * (source / 40) ** 2))
    image = images.resize(np.rint(255 * blot).astype(np.uint8), (side, side)).astype(float)
    at = np.arange(side) + 0.5
    centre = np.array([image.sum(0) @ at, image.sum(1) @ at]) / image.sum()
    np.testing.assert_allclose(centre, np.array([x, y]) * side / source, atol=0.02)
