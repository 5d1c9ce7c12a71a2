"""How much an image counts in training."""

import pytest

from stages.convert.weights import BLURRED, COVERED, weights


def test_nothing_in_doubt_counts_fully():
    assert weights([0, 1, 4], {}, {}) == [1, 1, 1]
    assert weights([], {"repeats": [1]}, {}) == []


def test_covered_and_blurred_count_less():
    assert weights([0, 1, 2, 3], {}, {"covered": [1, 2], "blurred": [2, 3]}) == [1, COVERED, COVERED, BLURRED]


def test_a_still_stretch_counts_once():
    found = weights([0, 1, 2, 3, 4, 6], {"repeats": [2, 3, 6]}, {})
    assert found == [1, *[pytest.approx(1 / 3, abs=1e-5)] * 3, 1, 1]  # 6 repeats 5, which was not tracked
    found = weights([0, 1, 2], {"repeats": [0, 1, 2]}, {"covered": [1]})
    assert sum(found) == pytest.approx((2 + COVERED) / 3, abs=1e-5)
