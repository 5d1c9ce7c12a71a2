"""The figures of detection/quality.py for our own tracker, measured the same way everywhere.

The error is over all landmarks that the model embeds but the face oval, those the solver did not look at included.
"""

import numpy as np

from avatarmake.geometry import jitter
from stages.track.identity import outer_eye_distance
from stages.track.points import FACE_OVAL


def landmark_error(uv: np.ndarray, detected: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Projected uv (F,L,2) of landmarks ids (L,), detected (F,478,2) -> (F,) px."""
    counted = ~np.isin(ids, FACE_OVAL)
    return np.linalg.norm(uv[:, counted] - detected[:, ids[counted]], axis=-1).mean(1)


def rigid_points(uv: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(F,L,2) -> (F,R,2): the points whose jitter is measured, of those that the model embeds."""
    return uv[:, np.isin(ids, jitter.RIGID)]


def measure(uv: np.ndarray, detected: np.ndarray, ids: np.ndarray) -> dict[str, np.ndarray]:
    """One chunk's part of quality.summary: projected uv (F,L,2) of ids, detected (F,478,2)."""
    return {
        "error_px": landmark_error(uv, detected, ids).astype(np.float32),
        "eyes_px": outer_eye_distance(detected).astype(np.float32),
        "rigid": rigid_points(uv, ids).astype(np.float32),
        "raw": rigid_points(detected[:, ids], ids).astype(np.float32),
    }
