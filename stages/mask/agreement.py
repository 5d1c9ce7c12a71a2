"""Whether what a user brought belongs to the tracked head: where a face lies, how it moves, which head it covers."""

from dataclasses import dataclass

import numpy as np

from avatarmake.formats.images import LABEL
from stages.mask.geometry import HeadView
from stages.mask.parsing import solid_mask

HEAD = tuple(n for name, n in LABEL.items() if name not in ("background", "neck", "necklace", "cloth"))
MOUTH = tuple(LABEL[name] for name in ("mouth", "upper_lip", "lower_lip"))
COVERED = 0.6  # of the tracked head that its label map calls head: all on two portraits, less behind a hand
AWAY = 0.03  # metres between the face of a map and the tracked one: 6 and 8 mm on two portraits
MOVES = 6.0  # pixels by which a head must stray from its place (mean) before its motion tells it from another's
UNLIKE = 0.7  # of that, which a map that follows the head does not stray from it: a foreign one strays by more than 1
CLEARER = 0.7  # a shift is believed where it leaves less than this of the straying,
PIXELS = 0.3  # and so many pixels less. Right maps are then never shifted, on two videos: bench.labels
PAIRS = 12  # of neighbouring images that are looked at: enough to see how a head moves, done in a second
SHIFTS = (0, -1, 1)  # of the files' numbers, that the motion of the head can tell
FEW = 6  # images from which motion says anything


@dataclass(frozen=True)
class Face:
    """One label map held against the head of an image. Pixels of 512 x 512; NaN for what the map does not show."""

    covered: float  # share of the solid head that the map calls head
    centre: np.ndarray  # (2,) of the map's nose and mouth,
    head: np.ndarray  # (2,) of the head's
    scale: float  # pixels per metre


def face(labels: np.ndarray, view: HeadView) -> Face:
    """labels (512,512) in BiSeNet's numbers."""
    solid = solid_mask(view)
    inside = labels[solid]
    covered = float(np.isin(inside, HEAD).mean()) if len(inside) else float("nan")
    return Face(covered, face_centre(labels), head_centre(view), view.scale)


def face_centre(labels: np.ndarray) -> np.ndarray:
    """(2,) between the middle of the nose and of the mouth; NaN where one of them is not there."""
    return (centre(labels == LABEL["nose"]) + centre(np.isin(labels, MOUTH))) / 2


def neighbours(there: list[int]) -> list[int]:
    """Some of these numbers, spread over all, each with the one after it."""
    starts = np.unique(np.linspace(0, max(len(there) - 2, 0), PAIRS).round().astype(int)).tolist()
    return sorted({n for start in starts for n in there[start : start + 2]})


def head_centre(view: HeadView) -> np.ndarray:
    """(2,) between the tracked head's nose and mouth."""
    return (view.nose + view.mouth) / 2


def centre(mask: np.ndarray) -> np.ndarray:
    """(2,) x, y in pixels (centres at +0.5), NaN for an empty mask."""
    import cv2

    m = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    return np.array([m["m10"], m["m01"]]) / m["m00"] + 0.5 if m["m00"] else np.full(2, np.nan)


def complaint(faces: list[Face]) -> str:
    """What says that most of these maps are not of the tracked head, or nothing."""
    covered = np.array([f.covered for f in faces])
    off = np.array([np.linalg.norm(f.centre - f.head) / f.scale for f in faces])
    if np.nanmean(covered < COVERED) > 0.5:
        return f"they call only {np.nanmedian(covered):.0%} of the tracked head a head, in most of {len(faces)} images"
    if (off > AWAY).sum() > 0.5 * len(faces):
        return f"their face lies {100 * np.nanmedian(off):.0f} cm from the tracked one, in most of {len(faces)} images"
    away = straying(np.stack([f.centre for f in faces]), heads := np.stack([f.head for f in faces]))
    moved = straying(np.zeros_like(heads), heads)
    if moved > MOVES and away > UNLIKE * moved:
        return f"their face moves otherwise than the tracked one ({away:.0f} px apart, which itself moves {moved:.0f})"
    return ""


def straying(centres: np.ndarray, heads: np.ndarray) -> float:
    """Mean distance in pixels between (N,2) and (N,2) beyond a constant one; NaN for too few that are seen."""
    apart = (centres - heads)[np.isfinite(centres).all(1)]
    return float(np.linalg.norm(apart - np.median(apart, 0), axis=1).mean()) if len(apart) >= FEW else float("nan")


def better_shift(centres: dict[int, np.ndarray], heads: np.ndarray) -> int:
    """Of SHIFTS -> (N,2) of the files so many numbers further: the one that clearly follows heads (N,2), else 0."""
    both = [np.isfinite(c).all(1) for c in centres.values()]
    same = np.all(both, 0)  # the same images for each, or the quieter ones would win
    stray = {s: straying(c[same], heads[same]) for s, c in centres.items()}
    best = min(stray, key=lambda s: np.nan_to_num(stray[s], nan=np.inf))
    return best if stray[best] < CLEARER * stray[0] and stray[0] - stray[best] > PIXELS else 0
