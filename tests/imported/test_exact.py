"""Where the source has the head there it is afterwards: pictures, cameras and poses, each kind by its own formulas."""

import json

import numpy as np
import pytest

from avatarmake.contract import layout
from avatarmake.errors import Exit
from avatarmake.formats import images
from avatarmake.formats.frame import read_frame
from avatarmake.formats.tracking import read_tracking
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.model import NECK, ROOT
from stages.convert.record import convert
from stages.imported.framing import Framing
from tests import flame_model
from tests.imported import sources

SPOT = 0.06  # px, to which the middle of a spot of 8 bits is known after JPEG


def shown(subject, i: int) -> np.ndarray:
    """Where dataset frame i has BLOB, by FlashAvatar's camera: focal length, and the image's centre."""
    frame = read_frame(layout.checkpoint_file(subject.directory("dataset"), i))
    assert frame.image_size == (512, 512)
    focal = float(frame.intrinsics[0, 0])
    x, y, z = frame.R.astype(np.float64) @ sources.BLOB + frame.t
    return np.array([focal * x / z + 256, focal * y / z + 256])


@pytest.mark.parametrize("kind", ["flashavatar", "metrical_tracker", "insta"])
@pytest.mark.parametrize("centre", [(256.0, 256.0), (249.3, 262.8)])
def test_the_picture_shows_the_head_where_the_camera_has_it(kind, centre, tmp_path, subject, bring):
    """Also where the principal point is not the centre, which metrical-tracker optimises and FlashAvatar ignores."""
    getattr(sources, kind)(tmp_path / "theirs", centre=centre)
    code, said = bring(tmp_path / "theirs")
    assert code == Exit.OK, said
    assert ("the pictures are moved by so much" in said) == (centre != (256, 256))
    dataset = subject.directory("dataset")
    for i in range(sources.FRAMES):
        there = sources.centre(images.read_rgb(layout.dataset_image(dataset, i + 1)))
        assert np.abs(there - shown(subject, i)).max() < SPOT
    assert len(list((dataset / "checkpoint").iterdir())) == sources.FRAMES


def test_what_the_principal_point_was_is_exact(tmp_path, subject, bring):
    """The new camera is the old one seen through the square: to float32, for points all over the picture."""
    size = (640, 512)
    sources.metrical_tracker(tmp_path / "theirs", centre=(330.0, 250.0), size=size)
    assert bring(tmp_path / "theirs")[0] == Exit.OK
    k = sources.intrinsics(centre=(330.0, 250.0))
    square = Framing.around(k, size, "here")
    points = np.random.default_rng(0).normal(scale=0.1, size=(50, 3))
    for i in range(sources.FRAMES):
        frame = read_frame(layout.checkpoint_file(subject.directory("dataset"), i))
        before = cameras.project(points, *sources.pose(i), k)
        after = cameras.project(points, frame.R.astype(float), frame.t.astype(float), frame.intrinsics.astype(float))
        inside = (before - (square.left, square.top)) * 512 / square.width
        assert np.abs(after - inside).max() < 1e-3


def test_what_fits_stays_as_it_is(tmp_path, subject, bring):
    """JPEGs and masks byte for byte, parameters number for number."""
    theirs = sources.flashavatar(tmp_path / "theirs")
    assert bring(theirs)[0] == Exit.OK
    dataset, masks = subject.directory("dataset"), subject.directory("masks")
    for i in range(sources.FRAMES):
        picture = (theirs / f"imgs/{i + 1:05d}.jpg").read_bytes()
        assert layout.dataset_image(dataset, i + 1).read_bytes() == picture
        assert layout.frame_image(subject.directory("frames"), i + 1).read_bytes() == picture
        assert layout.alpha_mask(masks, i + 1).read_bytes() == (theirs / f"alpha/{i + 1:05d}.jpg").read_bytes()
        frame = read_frame(layout.checkpoint_file(dataset, i))
        np.testing.assert_array_equal(frame.expression, sources.expression(i))
        np.testing.assert_array_equal(frame.jaw_rot6d, sources.payload(i, sources.intrinsics())["flame"]["jaw"][0])


def test_tracking_says_what_the_dataset_says(tmp_path, subject, bring):
    """Made of the .frame, so that `drive BY=` and `report` find it; convert's own formulas lead back."""
    assert bring(sources.flashavatar(tmp_path / "theirs"))[0] == Exit.OK
    for i in range(sources.FRAMES):
        made = convert(read_tracking(layout.tracking_file(subject.directory("tracking"), i)), "here")
        there = read_frame(layout.checkpoint_file(subject.directory("dataset"), i))
        for name in ("R", "t", "jaw_rot6d", "eyes_rot6d", "expression", "intrinsics"):
            np.testing.assert_allclose(getattr(made, name), getattr(there, name), atol=2e-6)


# --- VHAP ------------------------------------------------------------------------------------------------------------


def at_rest(shape: np.ndarray, expression: np.ndarray, offset=None) -> tuple[np.ndarray, np.ndarray]:
    """FLAME's own shaped head: some of the skin that follows the neck's joint wholly (n,3), joints (5,3)."""
    a = flame_model.arrays()
    shaped = a["v_template"] + a["shapedirs"] @ np.concatenate([shape, expression])
    shaped += 0 if offset is None else offset[: len(shaped)]
    return shaped[a["weights"][:, NECK] == 1][::50], a["J_regressor"] @ shaped


def vhap_sees(i: int, size: tuple[int, int], centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """VHAP's own chain for skin that follows the neck's joint wholly: -> where it is at rest (n,3), pixels (n,2)."""
    rest, joints = at_rest(0.3 * sources.shape(), 0.3 * sources.expression(i), sources.static_offset())
    held = sources.rigid(i)
    turn, neck = (rotations.matrix_from_axis_angle(held[name]) for name in ("rotation", "neck_pose"))
    x = (rest - joints[NECK]) @ neck.T + joints[NECK]
    x = (x - joints[ROOT]) @ turn.T + joints[ROOT] + held["translation"]
    x = np.c_[x, np.ones(len(x))] @ np.linalg.inv(sources.opengl_camera()).T
    u = sources.FOCAL * x[:, 0] / -x[:, 2] + centre[0]
    v_up = sources.FOCAL * x[:, 1] / -x[:, 2] + size[1] - centre[1]  # cy counts from below, y upwards
    return rest, np.stack([u, size[1] - v_up], -1)


def test_rigid_motion_is_in_the_camera_exactly(tmp_path, subject, bring, flame):
    size, centre = (550, 802), (270.0, 390.0)
    sources.vhap(tmp_path / "theirs", size, centre)
    code, said = bring(tmp_path / "theirs")
    assert code == Exit.OK, said
    square = Framing.around(sources.intrinsics(centre=centre), size, "here")
    assert square.width == 802
    for i in range(sources.FRAMES):
        frame = read_frame(layout.checkpoint_file(subject.directory("dataset"), i))
        rest, theirs = vhap_sees(i, size, centre)
        ours = cameras.project(rest, frame.R.astype(float), frame.t.astype(float), frame.intrinsics.astype(float))
        inside = (theirs - (square.left, square.top)) * 512 / square.width
        assert len(rest) > 20 and np.abs(ours - inside).max() < 1e-3
    neck = max(np.degrees(np.linalg.norm(sources.rigid(i)["neck_pose"])) for i in range(sources.FRAMES))
    assert f"its neck turns by up to {neck:.1f} degrees" in said
    assert "static offset of vertices (1.7 mm, rms) is dropped" in said and "no eyelids" in said


def test_without_flame_only_a_head_that_does_not_turn(tmp_path, subject, bring):
    """Where it turns about is FLAME's own; where nothing turns, the translation alone goes into the camera."""
    sources.vhap(tmp_path / "turns")
    code, said = bring(tmp_path / "turns")
    assert code == Exit.MISSING_ASSET and "make assets GET=flame2020" in said
    assert not subject.directory("dataset").exists()
    sources.vhap(tmp_path / "still", still=True)
    code, said = bring(tmp_path / "still")
    assert code == Exit.OK and "training needs the head model 'flame'" in said
    frame = read_frame(layout.checkpoint_file(subject.directory("dataset"), 1))
    world_to_camera = np.diag([1, -1, -1, 1]) @ np.linalg.inv(sources.opengl_camera())
    expected = world_to_camera[:3, :3] @ sources.rigid(1)["translation"] + world_to_camera[:3, 3]
    np.testing.assert_allclose(frame.t, expected, atol=1e-6)


# --- flame-head-tracker ----------------------------------------------------------------------------------------------


def test_a_neck_of_photometric_fitting_goes_into_the_camera(tmp_path, subject, bring, flame):
    sources.head_tracker(tmp_path / "theirs", neck=0.1)
    code, said = bring(tmp_path / "theirs")
    assert code == Exit.OK and "its neck turns by up to 5.7 degrees" in said
    theirs = read_tracking(tmp_path / "theirs/3.npz")
    ours = read_tracking(layout.tracking_file(subject.directory("tracking"), 2))
    rest, joints = at_rest(ours.shape, ours.expression)
    moved = (rest - joints[NECK]) @ rotations.matrix_from_axis_angle(theirs.neck_pose.astype(float)).T + joints[NECK]
    k = ours.intrinsics.astype(float)
    before = cameras.project(moved, *cameras.extrinsics_from_cam(theirs.cam), k)
    after = cameras.project(rest, *cameras.extrinsics_from_cam(ours.cam), k)
    assert np.abs(before - after).max() < 1e-3
    assert not ours.neck_pose.any()


def test_pixels_that_are_not_square_become_so():
    k = np.array([[1400.0, 0, 256], [0, 1540, 256], [0, 0, 1]])
    square = Framing.around(k, (512, 512), "here")
    focal = square.intrinsics(k)
    assert focal[0, 0] == focal[1, 1] == pytest.approx(1400 * 512 / square.width)
    assert square.height / square.width == pytest.approx(1.1) and square.height >= 512 - 1e-9


def test_index_and_crop_say_which_frame_is_which(tmp_path, subject, bring):
    sources.head_tracker(tmp_path / "theirs", gaps=(0, 3))
    assert bring(tmp_path / "theirs", "--fps", "10")[0] == Exit.OK
    crop = json.loads((subject.directory("frames") / "crop.json").read_text())
    assert crop["source_frames"] == [1, 2, 4] and crop["times"] == [0.1, 0.2, 0.4]
    for n, number in enumerate(crop["source_frames"], 1):
        there = sources.centre(images.read_rgb(layout.frame_image(subject.directory("frames"), n)))
        assert there[0] == pytest.approx(100 + 40 * number, abs=SPOT)
