"""What the figures mean."""

import numpy as np
import pytest

from stages.train import evaluation
from stages.train.dataset import Picture
from stages.train.losses import HEAD
from tests.rounding import rounding


def picture(rgb: np.ndarray, head: np.ndarray) -> Picture:
    cover = np.where(head, 255, 0).astype(np.uint8)
    return Picture(np.ascontiguousarray(rgb.transpose(2, 0, 1)), cover, (head * HEAD).astype(np.uint8))


def test_an_error_on_the_head_counts_whole_there_and_diluted_in_the_frame():
    truth = np.full((40, 40, 3), 255, np.uint8)
    head = np.zeros((40, 40), bool)
    head[10:20, 10:20] = True  # a sixteenth of the frame
    rendered = truth.copy()
    rendered[head] = 204  # off by a fifth
    figures = evaluation.measure(rendered, picture(truth, head))
    assert figures["psnr_head"] == pytest.approx(-10 * np.log10(0.2**2), abs=1e-3)
    assert figures["psnr_full"] == pytest.approx(figures["psnr_head"] + 10 * np.log10(16), abs=1e-3)


def test_errors_beside_the_head_are_not_the_head_s():
    truth = np.full((40, 40, 3), 255, np.uint8)
    head = np.zeros((40, 40), bool)
    head[:, 20:] = True
    rendered = truth.copy()
    rendered[:, :10] = 0
    figures = evaluation.measure(rendered, picture(truth, head))
    assert figures["psnr_head"] == evaluation.BEST and figures["psnr_full"] < 10


def test_errors_at_the_outline_are_told_apart_from_those_within():
    truth = np.full((512, 512, 3), 255, np.uint8)
    head = np.zeros((512, 512), bool)
    head[100:, 100:300] = True  # down to the picture's edge, which is no outline
    rendered = truth.copy()
    rendered[98:102, 150:250] = 0
    figures = evaluation.measure(rendered, picture(truth, head))
    assert figures["psnr_inner"] == evaluation.BEST and figures["edge_share"] == pytest.approx(1)
    rendered[500:504, 150:250] = 0  # as much again
    figures = evaluation.measure(rendered, picture(truth, head))
    assert figures["psnr_inner"] < 30 and figures["edge_share"] == pytest.approx(0.5)


def test_a_white_rim_is_seen_over_black_only():
    truth = np.full((40, 40, 3), 255, np.uint8)
    head = np.zeros((40, 40), bool)
    head[10:20, 10:20] = True
    truth[head] = (200, 120, 80)
    dark = np.where(head[..., None], truth, 0).astype(np.uint8)
    assert evaluation.measure(truth, picture(truth, head), dark)["psnr_dark"] == evaluation.BEST
    dark[9, 10:20] = 255
    figures = evaluation.measure(truth, picture(truth, head), dark)
    assert figures["psnr_full"] == evaluation.BEST
    assert figures["psnr_dark"] == pytest.approx(-10 * np.log10(10 / 1600), abs=1e-3)


def test_a_frame_without_head_has_no_head_figure():
    truth = np.full((40, 40, 3), 255, np.uint8)
    figures = evaluation.measure(truth, picture(truth, np.zeros((40, 40), bool)))
    none = dict.fromkeys(("psnr_head", "psnr_inner", "edge_share", "psnr_dark"))
    assert figures == {"psnr_full": evaluation.BEST, **none, "ssim": pytest.approx(1)}
    assert evaluation.summary([3], [figures])["psnr_head"] is None


@pytest.mark.numbers
def test_ssim_is_that_of_wang_2004_written_out():
    rng = np.random.default_rng(0)
    a = rng.random((24, 30, 1)).astype(np.float32)
    b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1).astype(np.float32)
    window = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(window, window) / window.sum() ** 2
    values = []
    for y in range(14):
        for x in range(20):
            p, q = a[y : y + 11, x : x + 11, 0].astype(float), b[y : y + 11, x : x + 11, 0].astype(float)
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    # float32: variances, of about 1 / 12 here, are differences of means of 121 squares
    assert evaluation.ssim(a, b) == pytest.approx(np.mean(values), abs=12 * rounding(121))
    assert evaluation.ssim(a, a) == pytest.approx(1)
