"""How good the avatar is on frames it has not seen. Every figure but one compares 8-bit images over white.

    psnr_full   over the whole frame; a plain ground adds 3 to 4 dB
    psnr_head   over the pixels where alpha * neckhead > 1/2: the figure to look at
    psnr_inner  over those of them that are 4 px (of 512) and more within the head's outline: what masks have no part in
    edge_share  share of the frame's squared error that lies within 4 px of that outline, on either side
    psnr_dark   as psnr_full, over black: it falls behind where the ground that it was trained on is part of an avatar
    ssim        Wang et al. 2004, Gaussian window of 11 with sigma 1.5, per channel, over the whole frame

PSNR = -10 log10(mean squared error), images in 0..1; a split's figure is the mean over its frames.
"""

import numpy as np

from stages.train.dataset import Picture
from stages.train.losses import HEAD

FIGURES = ("psnr_full", "psnr_head", "psnr_inner", "edge_share", "psnr_dark", "ssim")
EDGE = 4 / 512  # of the picture's side
BEST = 100.0  # dB, of two equal images
C1, C2 = 0.01**2, 0.03**2


def psnr(mse: float) -> float:
    return BEST if mse <= 10 ** (-BEST / 10) else float(-10 * np.log10(mse))


def measure(rendered: np.ndarray, picture: Picture, dark: np.ndarray | None = None) -> dict:
    """rendered (H,W,3) uint8 over white, and over black where that is asked for -> FIGURES, None where the frame shows
    no head, or nothing within it, or no error."""
    a = rendered.astype(np.float32) / 255
    b = picture.pixels.transpose(1, 2, 0).astype(np.float32) / 255
    error = ((a - b) ** 2).mean(-1)
    head = (picture.labels & HEAD) > 0
    margin = max(round(EDGE * len(head)), 1)
    inner, edge = _within(head, margin), ~_within(head, margin) & ~_within(~head, margin)
    total = float(error.sum(dtype=np.float64))
    return {
        "psnr_full": psnr(float(error.mean())),
        "psnr_head": psnr(float(error[head].mean())) if head.any() else None,
        "psnr_inner": psnr(float(error[inner].mean())) if inner.any() else None,
        "edge_share": float(error[edge].sum(dtype=np.float64)) / total if total and head.any() else None,
        "psnr_dark": None if dark is None else psnr(_mean_square(dark, picture.over_black())),
        "ssim": ssim(a, b),
    }


def _mean_square(rendered: np.ndarray, truth: np.ndarray) -> float:
    """(H,W,3), (3,H,W) uint8 -> mean squared difference, in 0..1."""
    return float(np.square(rendered.transpose(2, 0, 1).astype(np.float32) - truth).mean()) / 255**2


def _within(mask: np.ndarray, margin: int) -> np.ndarray:
    """The mask without what lies within `margin` pixels of its outline; the picture's edge is none."""
    for axis in (0, 1):
        size = mask.shape[axis]
        padded = np.pad(mask, [(margin, margin) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        mask = np.logical_and.reduce([padded.take(range(k, k + size), axis) for k in range(2 * margin + 1)])
    return mask


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """(H,W,C) in 0..1 -> mean structural similarity; the window is cut to whole windows inside the image."""
    window = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2).astype(np.float32)
    window /= window.sum()

    def blur(x: np.ndarray) -> np.ndarray:
        x = sum(w * x[k : x.shape[0] - 10 + k] for k, w in enumerate(window))
        return sum(w * x[:, k : x.shape[1] - 10 + k] for k, w in enumerate(window))

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    return float(((2 * ma * mb + C1) * (2 * cov + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2))).mean())


def summary(numbers: list[int], measures: list[dict]) -> dict:
    """One split's part of evaluation.json."""
    rounded = [{k: None if v is None else round(v, 4) for k, v in m.items()} for m in measures]
    rows = [{"frame": n} | m for n, m in zip(numbers, rounded, strict=True)]
    return {"frames": numbers, **means(measures), "per_frame": rows}


def means(measures: list[dict]) -> dict:
    """FIGURES over frames, each over those that have it."""
    found = {name: [m[name] for m in measures if m[name] is not None] for name in FIGURES}
    return {name: round(float(np.mean(v)), 4) if v else None for name, v in found.items()}
