"""Rest, transfer and bounds, as arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.performance import Performance
from avatarmake.geometry import cameras, rotations
from stages.drive import bounds, neutral, transfer


def performance(frames: int, seed: int = 0) -> Performance:
    """Somebody who mostly rests, with a face of their own, and now and then talks, smiles, blinks and looks about."""
    rng = np.random.default_rng(seed)
    times = np.arange(frames) / 25
    talks = (np.sin(times * 1.3) > 0.3) * 1.0
    expression = np.zeros((frames, 100))
    expression[:, 0] = 0.4 + 2 * np.clip(np.sin(times), 0, 1) * talks
    expression[:, 1] = -0.3 + talks * np.sin(20 * times)
    jaw = np.zeros((frames, 3))
    jaw[:, 0] = 0.03 + talks * 0.2 * np.abs(np.sin(9 * times))
    blink = (np.arange(frames) % 60 < 4) * 0.9
    turn = rotations.matrix_from_axis_angle(np.stack([0 * times, 0.2 * np.sin(times), 0 * times], 1))
    arrays = {
        "expression": expression + rng.normal(size=expression.shape) * 0.02,
        "jaw_pose": jaw + rng.normal(size=jaw.shape) * 0.003,
        "eye_pose": np.tile([0.05, -0.02, 0], (frames, 2)) + 0.1 * np.sin(2 * times)[:, None],
        "eyelids": np.tile((0.08 + blink)[:, None], (1, 2)),
        "R": cameras.FLIP @ turn,
        "t": np.stack([0.02 * np.sin(times), 0.05 + 0 * times, 1 + 0.1 * np.cos(times)], 1),
    }
    return Performance(
        head_model="open",
        head_model_digest="0" * 64,
        fps=25.0,
        times=times,
        intrinsics=cameras.intrinsics_from_focal(1400, (512, 512)).astype(np.float32),
        image_size=(512, 512),
        **{name: value.astype(np.float32) for name, value in arrays.items()},
    )


def test_a_face_at_rest_is_found_whatever_else_it_does():
    p = performance(500)
    found = neutral.find(p)
    assert found.parameters.expression[:2] == pytest.approx([0.4, -0.3], abs=0.05)
    assert found.parameters.jaw_pose[0] == pytest.approx(0.03, abs=0.01)
    assert found.parameters.eyelids == pytest.approx([0.08, 0.08], abs=0.01)
    assert (p.jaw_pose[found.frames, 0] < 0.06).all() and found.nearest in found.frames


def test_a_few_frames_have_a_rest_too():
    for frames in (1, 2, 6):
        found = neutral.find(performance(frames))
        assert np.isfinite(np.concatenate(found.parameters)).all() and found.nearest < frames


def test_lids_close_as_far_as_they_can_and_rest_where_one_s_own_do():
    p = performance(100)
    theirs, lids = neutral.find(p), np.array([0.2, 0.3], np.float32)
    own = neutral.zero()._replace(
        parameters=Parameters.neutral()._replace(eyelids=lids), closed=np.array([0.8, 0.9], np.float32)
    )
    assert theirs.closed == pytest.approx([0.98, 0.98])
    for asked, expected in ((theirs.closed, own.closed), (theirs.parameters.eyelids, lids)):
        came = transfer.transfer(replace(p, eyelids=np.tile(asked, (100, 1))), theirs, own, gain=3.0)
        assert np.allclose(came.eyelids, expected, atol=1e-6)
    gaze = came.eye_pose - (p.eye_pose - theirs.parameters.eye_pose)
    assert np.allclose(gaze, own.parameters.eye_pose, atol=1e-6)  # gain is for the face, not for where it looks


def test_an_eye_that_never_blinks_may_be_asked_to():
    p = performance(50)
    p = replace(p, eyelids=np.full((50, 2), 0.1, np.float32))
    assert np.array_equal(neutral.find(p).closed, [1, 1])


def test_the_head_moves_on_the_picture_as_the_driver_s():
    driver, own = performance(300), performance(400, seed=1)
    own = replace(own, t=own.t + np.array([0.1, -0.05, 0.4], np.float32), image_size=(256, 256))
    own = replace(own, intrinsics=cameras.intrinsics_from_focal(900, (256, 256)).astype(np.float32))
    rotation, translation = transfer.as_driver(driver, own)
    angles = [rotations.axis_angle_from_matrix(cameras.FLIP @ r)[:, 1] for r in (rotation, driver.R, own.R)]
    asked = angles[1] - np.median(angles[1]) + np.median(angles[2])
    assert np.allclose(angles[0], asked, atol=1e-3)  # all turn about one axis
    assert np.array_equal(transfer.as_driver(driver, own, absolute=True)[0], driver.R)
    moved = replace(own, times=driver.times, R=rotation, t=translation)
    (a, depth), (b, own_depth) = transfer.on_picture(driver), transfer.on_picture(moved)
    larger = (900 / 256 / np.median(own.t[:, 2])) / (1400 / 512 / np.median(driver.t[:, 2]))
    assert abs(larger - 1) > 0.05
    assert np.allclose((a - np.median(a, 0)) * larger, b - np.median(b, 0), atol=1e-5)
    assert np.allclose(depth / np.median(depth), own_depth / np.median(own_depth), atol=1e-5)
    assert np.allclose(np.median(b, 0), np.median(transfer.on_picture(own)[0], 0), atol=1e-5)


def test_a_face_that_a_tracker_sees_turned_moves_no_head():
    """A part of a face's shape that is taken for a turn of the head goes with the driver, not with the motion."""
    own = performance(300)
    bias = rotations.matrix_from_axis_angle(np.array([0.03, 0.05, 0]))
    driver = replace(own, R=(own.R @ bias).astype(np.float32))
    assert np.allclose(transfer.as_driver(driver, own)[0], own.R, atol=2e-3)


def test_one_s_own_motion_goes_there_and_back():
    own = performance(50)
    rotation, _ = transfer.as_own(own, np.arange(200) / 25)
    assert np.allclose(rotation[:50], own.R, atol=1e-5) and np.allclose(rotation[49:98], own.R[:0:-1], atol=1e-5)
    assert np.allclose(rotation[98:148], own.R, atol=1e-5)


def test_what_lies_outside_is_cut_and_said():
    own = performance(300)
    limits = bounds.bounds(own)
    inside = Parameters(own.expression, own.jaw_pose, own.eye_pose, own.eyelids)
    assert bounds.outside(inside, limits.cut(inside), "open")["frames"] == 0
    asked = Parameters(*(x.copy() for x in inside))
    asked.expression[:30, 0] += 9  # "smile"
    asked.jaw_pose[20:50, 0] -= 1
    cut = limits.cut(asked)
    found = bounds.outside(asked, cut, "open")
    assert found["frames"] == pytest.approx(50 / 300, abs=1e-3)
    assert found["directions"] == {"jaw open, less": 0.1, "smile, more": 0.1}
    assert "16.7 % of the frames" in bounds.said(found) and "smile, more in 10.0 %" in bounds.said(found)
    assert cut.expression[:, 0].max() <= own.expression[:, 0].max() * 1.5
    assert "expression 0, more" in bounds.outside(asked, cut, "flame")["directions"]
    closed = Parameters(*(x[:1] for x in inside))._replace(eyelids=np.ones((1, 2), np.float32))
    assert np.array_equal(limits.cut(closed).eyelids, closed.eyelids)  # whoever never blinked may
