"""What shakes, and what is a cut."""

import numpy as np
import pytest

from avatarmake.geometry.jitter import RIGID, apart, cuts, jitter_px


@pytest.fixture
def shot():
    """shot(frames, at) -> (frames,L,2): points within 100 px that drift by a pixel a frame."""
    face = np.random.default_rng(0).uniform(0, 100, (len(RIGID), 2))
    return lambda frames, at, size=1.0: size * face + at + np.arange(frames)[:, None, None]


def test_a_cut_is_no_jitter_and_nothing_goes_on_across_it(shot):
    points = np.concatenate([shot(5, 50), shot(5, 300)])
    assert np.flatnonzero(cuts(points)).tolist() == [5]
    assert apart(np.arange(10), points).tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert jitter_px(points) == pytest.approx(0, abs=1e-9)


def test_a_zoom_in_place_is_a_cut_too(shot):
    assert np.flatnonzero(cuts(np.concatenate([shot(3, 100), shot(3, 50, size=2)]))).tolist() == [3]


def test_a_quick_head_is_no_cut(shot):
    points = shot(6, 50) + 8 * np.sin(np.arange(6))[:, None, None]
    assert not cuts(points).any() and jitter_px(points) > 3
    assert cuts(points[:1]).tolist() == [False] and cuts(points[:0]).tolist() == []
