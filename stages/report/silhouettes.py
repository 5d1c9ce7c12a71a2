"""How right masks are: overlap, distance between outlines, sum of differences; and the demo's masks against its truth.

IoU is of the head, neckhead x alpha > 1/2, and of the whole person, alpha > 1/2. The distance is that of the outline of
alpha > 1/2 from the truth's, both ways: its mean, and the share beyond 2 px. SAD is the sum of |mask - truth| over an
image, in thousands, as in matting's literature.
"""

from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats import images
from stages.report.subject import Finished

FAR = 2  # px
FRAME = 3  # px along an image's edge that no outline is looked for in
ROWS = 256  # points whose distances are in memory together


def compare(done: Finished, path: Path) -> dict | None:
    """Means over the frames whose true masks `path` (truth.npz) has, and their number; None where it has none."""
    frames, alphas, heads = _load(path)
    side, box = done.index["image_size"][0], done.crop["box"]
    numbers = {source: number for number, source in enumerate(done.index["source_frames"], 1)}
    found = []
    for frame, *drawn in zip(frames, alphas, heads, strict=True):
        if frame in numbers:
            alpha, neckhead = (done.mask(numbers[frame], part) / np.float32(255) for part in ("alpha", "neckhead"))
            truths = [images.resize(images.crop(x, *box[:2], box[2], box[2]), (side, side)) for x in drawn]
            truths = [x / np.float32(255) for x in truths]
            found.append(against(alpha, alpha * neckhead, *truths, _filmed(box, drawn[0].shape, side)))
    if not found:
        return None
    return {"frames": len(found), **{name: _mean([one[name] for one in found]) for name in found[0]}}


def against(alpha, head, true_alpha, true_head, where) -> dict[str, float | None]:
    """Figures of one image, all (H,W) float32 in 0..1; `where` (H,W) bool: what counts. No outline, no distance."""
    edges = [outline(mask > 0.5) for mask in (alpha, true_alpha)]
    apart = np.concatenate([distance(*edges, where), distance(*edges[::-1], where)])
    return {
        "head_iou": iou(head > 0.5, true_head > 0.5, where),
        "alpha_iou": iou(alpha > 0.5, true_alpha > 0.5, where),
        "head_sad": float(np.abs(head - true_head)[where].sum() / 1000),
        "alpha_sad": float(np.abs(alpha - true_alpha)[where].sum() / 1000),
        "edge_px": float(apart.mean()) if len(apart) else None,
        "edge_beyond_2_px": float((apart > FAR).mean()) if len(apart) else None,
    }


def iou(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Of two masks, bool; two empty ones are alike."""
    either = (a | b) & where
    return float((a & b & where).sum() / either.sum()) if either.any() else 1.0


def outline(mask: np.ndarray) -> np.ndarray:
    """(H,W) bool -> bool: pixels of the mask with one of their eight neighbours outside it, the frame's edge apart."""
    rows = mask.copy()
    rows[1:-1] &= mask[:-2] & mask[2:]
    inner = rows.copy()
    inner[:, 1:-1] &= rows[:, :-2] & rows[:, 2:]
    edge = mask & ~inner
    edge[:FRAME], edge[-FRAME:], edge[:, :FRAME], edge[:, -FRAME:] = False, False, False, False
    return edge


def distance(edge: np.ndarray, other: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Pixels from each point of an outline (H,W) bool, where it counts, to the nearest of another."""
    points, others = np.argwhere(edge & where), np.argwhere(other)
    if not len(others):
        return np.zeros(0)
    nearest = []
    for first in range(0, len(points), ROWS):
        some = points[first : first + ROWS]
        nearest.append(((some[:, None] - others[None]) ** 2).sum(-1).min(1))
    return np.sqrt(np.concatenate(nearest)) if nearest else np.zeros(0)


def _filmed(box: list, shape: tuple[int, int], side: int) -> np.ndarray:
    """(side,side) bool: the pixels of the crop that lie within the video's picture."""
    middles = (np.arange(side) + 0.5) * box[2] / side
    x, y = middles + box[0], middles + box[1]
    return ((y >= 0) & (y < shape[0]))[:, None] & (x >= 0) & (x < shape[1])


def _mean(values: list) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _load(path: Path) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Source frames, alpha and head (M,H,W) uint8; empty where the truth has no masks."""
    try:
        with np.load(path, allow_pickle=False) as npz:
            if "mask_frames" not in npz:
                return [], np.zeros(0), np.zeros(0)
            return npz["mask_frames"].tolist(), npz["mask_alpha"], npz["mask_head"]
    except (OSError, ValueError, KeyError) as e:
        raise StageError(f"cannot be read: {e}", path, "Run: make demo") from e
