"""Masks against true ones: figures that can be counted by hand, and what the report makes of them."""

import json

import numpy as np
import pytest

from avatarmake.errors import Exit
from stages.report.silhouettes import against, distance, iou, outline

EVERYWHERE = np.ones((64, 64), bool)


def square(low: int, high: int) -> np.ndarray:
    mask = np.zeros((64, 64), np.float32)
    mask[low:high, low:high] = 1
    return mask


def test_a_mask_that_is_the_truth():
    found = against(square(10, 40), square(20, 30), square(10, 40), square(20, 30), EVERYWHERE)
    assert (found["head_iou"], found["alpha_iou"]) == (1, 1)
    assert not any(found[name] for name in ("head_sad", "alpha_sad", "edge_px", "edge_beyond_2_px"))


def test_a_mask_that_is_too_large_by_three_pixels():
    found = against(square(7, 43), square(20, 30), square(10, 40), square(20, 30), EVERYWHERE)
    assert found["alpha_iou"] == pytest.approx(30**2 / 36**2) and found["head_iou"] == 1
    assert found["alpha_sad"] == pytest.approx((36**2 - 30**2) / 1000)
    assert 3 <= found["edge_px"] < 3 * 2**0.5 and found["edge_beyond_2_px"] == 1  # corners are further off


def test_soft_masks_differ_by_how_much_they_do():
    found = against(0.5 * square(10, 40), square(20, 30), 0.25 * square(10, 40), square(20, 30), EVERYWHERE)
    assert found["alpha_sad"] == pytest.approx(0.25 * 900 / 1000)
    assert found["edge_px"] is None and found["edge_beyond_2_px"] is None and found["alpha_iou"] == 1  # both empty


def test_what_does_not_count_is_left_out():
    where = EVERYWHERE.copy()
    where[:, :32] = False
    found = against(square(7, 40), square(7, 40), square(10, 40), square(10, 40), where)
    assert found["alpha_iou"] == pytest.approx(8 * 30 / (8 * 33))


def test_outlines():
    edge = outline(square(10, 40) > 0)
    assert edge.sum() == 4 * 29 and edge[10, 10] and edge[39, 20] and not edge[11, 11]
    assert not outline(square(0, 64) > 0).any()  # where the picture ends there is none
    diagonal = square(10, 40) > 0
    diagonal[10, 10] = False
    assert outline(diagonal)[11, 11]  # its neighbour across the corner is outside
    assert iou(~EVERYWHERE, ~EVERYWHERE, EVERYWHERE) == 1
    assert distance(edge, outline(square(12, 38) > 0), EVERYWHERE).max() == pytest.approx(8**0.5)


def masks(subject) -> dict | None:
    return json.loads((subject.directory("report") / "metrics.json").read_text())["masks"]["truth"]


def test_the_report_says_how_right_the_masks_are(finished, report):
    subject = finished(truth=True)
    assert report(subject)[0] == Exit.OK
    found = masks(subject)
    assert found["frames"] == 4 and found["head_iou"] == found["alpha_iou"] == 1 and found["edge_px"] == 0
    page = (subject.directory("report") / "index.html").read_text()
    assert "Against the truth, 4 frames" in page and "1.0000" in page


def test_masks_that_are_off(finished, report):
    subject = finished(truth=True)
    with np.load(subject.truth) as npz:
        there = dict(npz)
    np.savez(subject.truth, **there | {"mask_alpha": np.roll(there["mask_alpha"], 5, 2)})
    assert report(subject)[0] == Exit.OK
    found = masks(subject)
    assert found["head_iou"] == 1 and found["alpha_iou"] < 0.98 and 1 < found["edge_px"] < 5
    assert found["alpha_sad"] > 2 and found["head_sad"] < 0.5


def test_truth_without_masks(finished, report):
    subject = finished(truth=True)
    with np.load(subject.truth) as npz:
        there = {name: value for name, value in npz.items() if not name.startswith("mask")}
    np.savez(subject.truth, **there)
    assert report(subject)[0] == Exit.OK and masks(subject) is None
    assert "Overlap (IoU)" not in (subject.directory("report") / "index.html").read_text()
