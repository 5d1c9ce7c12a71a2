"""How good a tracking is, measured the same way everywhere.

- landmark error of a frame: mean distance in px between the model's landmarks, projected, and the detected ones, over
  all that the model embeds but the face oval (those the solver did not look at included); in per cent of the distance
  between the outer corners of the eyes in that frame. Over a video: median and 95th percentile of the frames.
- jitter: stages/jitter.py, of the projected landmarks and of the raw detections.
"""

import numpy as np

from stages import jitter
from stages.track.identity import outer_eye_distance
from stages.track.points import FACE_OVAL


def landmark_error(uv: np.ndarray, detected: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Projected uv (F,L,2) of landmarks ids (L,), detected (F,478,2) -> (F,) px."""
    counted = ~np.isin(ids, FACE_OVAL)
    return np.linalg.norm(uv[:, counted] - detected[:, ids[counted]], axis=-1).mean(1)


def rigid_points(uv: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(F,L,2) -> (F,R,2): the points whose jitter is measured, of those that the model embeds."""
    return uv[:, np.isin(ids, jitter.RIGID)]


def summary(frames: np.ndarray, error_px: np.ndarray, eyes_px: np.ndarray, rigid: np.ndarray, raw: np.ndarray) -> dict:
    """All tracked frames' numbers (F,), errors (F,), eye distances (F,), rigid points (F,R,2) -> facts."""
    return {
        "landmark_error_px": _spread(error_px, 3),
        "landmark_error_pct": _spread(100 * error_px / eyes_px, 3),
        "jitter_px": _rounded(jitter.jitter_px(rigid, frames)),
        "jitter_px_raw": _rounded(jitter.jitter_px(raw, frames)),
    }


def measure(uv: np.ndarray, detected: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
    """One chunk's part of `summary`: projected uv (F,L,2) of ids, detected (F,478,2)."""
    return {
        "error_px": landmark_error(uv, detected, ids).astype(np.float32),
        "eyes_px": outer_eye_distance(detected).astype(np.float32),
        "rigid": rigid_points(uv, ids).astype(np.float32),
        "raw": rigid_points(detected[:, ids], ids).astype(np.float32),
    }


def _spread(x: np.ndarray, digits: int) -> dict[str, float]:
    return {"median": round(float(np.median(x)), digits), "p95": round(float(np.percentile(x, 95)), digits)}


def _rounded(x: float | None) -> float | None:
    return None if x is None else round(x, 4)
