"""A body that stays behind: in the camera it moves slowly, in the head's axes it turns about the neck."""

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.body import body, root_weights
from avatarmake.head_model.model import NECK
from tests.rounding import rounding

FRAMES = 60
SHAPE = np.zeros(300, np.float32)
TIMES = np.arange(FRAMES) / 25
K = cameras.intrinsics_from_focal(1200, (512, 512))


@pytest.fixture(scope="module")
def model():
    return head_model.load("open")


def nodding(model, speed: float = 6.0, place: np.ndarray | None = None):
    """World-to-camera of a head that turns about its neck's joint, which is at `place` (F,3) before the camera."""
    angle = np.stack([0.1 * np.cos(speed * TIMES), 0.3 * np.sin(speed * TIMES), 0 * TIMES], 1)
    r = cameras.FLIP @ rotations.matrix_from_axis_angle(angle)
    place = np.tile([0, 0.1, 0.9], (FRAMES, 1)) if place is None else place
    return r, place - r @ model.joints(SHAPE)[NECK]


def seen(model, r: np.ndarray, t: np.ndarray, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """-> the neutral head's vertices in the camera's axes (F,V,3), with and without a body."""
    rest = np.repeat(model.identity(SHAPE)[None], FRAMES, 0)
    bent = body(model, SHAPE, r, t, K, TIMES, seconds).bend(rest, root_weights(model))
    return bent @ r.transpose(0, 2, 1) + t[:, None], rest @ r.transpose(0, 2, 1) + t[:, None]


def test_without_one_nothing_moves(model):
    bent, rest = seen(model, *nodding(model), 0.0)
    assert np.array_equal(bent, rest)


@pytest.mark.numbers
def test_shoulders_stay_and_the_head_is_where_it_was(model):
    bent, rest = seen(model, *nodding(model), np.inf)
    weights = root_weights(model)
    assert np.abs(np.diff(bent[:, weights == 1], axis=0)).max() < rounding(100)
    assert np.abs(np.diff(rest[:, weights == 1], axis=0)).max() > 0.01
    assert np.array_equal(bent[:, weights == 0], rest[:, weights == 0])
    between = (weights > 0) & (weights < 1)
    assert between.any() and np.abs(bent - rest)[:, between].max() < np.abs(bent - rest)[:, weights == 1].max()


def test_a_body_follows_what_lasts(model):
    slow, quick = (nodding(model, speed) for speed in (0.2, 25.0))
    left = [np.abs(np.subtract(*seen(model, *motion, 0.3))[10:-10]).max() for motion in (slow, quick)]
    assert left[0] < 0.1 * left[1]


def test_a_mean_never_reaches_across_a_cut(model):
    place = np.tile([0, 0.1, 0.9], (FRAMES, 1))
    place[30:] += [0.2, 0, 0.1]
    r, t = nodding(model, place=place)
    weights = root_weights(model)
    for part, frames in ((slice(0, 30), 30), (slice(30, 60), 30)):
        alone = body(model, SHAPE, r[part], t[part], K, TIMES[part], 1.0)
        both = body(model, SHAPE, r, t, K, TIMES, 1.0)
        assert np.allclose(both.turn[part], alone.turn, atol=rounding(100)) and len(alone.turn) == frames
    bent, _ = seen(model, r, t, np.inf)
    assert np.abs(np.diff(bent[:30, weights == 1], axis=0)).max() < rounding(100)


def test_frames_that_are_missing_for_long(model):
    r, t = nodding(model)
    times = TIMES + np.where(np.arange(FRAMES) >= 30, 1000.0, 0)
    assert np.isfinite(body(model, SHAPE, r, t, K, times, 0.5).shift).all()
