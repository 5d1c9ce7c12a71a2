"""A face at rest, found in a performance: the median of frames that are still, mouth closed and eyes open.

Medians, so that no single expression counts; of a share of the frames that is there in any video, so that no threshold
in radians has to fit everybody. Where the eyes look and how far the lids stand open is taken of all open-eyed frames:
a gaze wanders while the face is still, and a few frames would not say where its middle is.
"""

from typing import NamedTuple

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.performance import Performance

CLOSED, STILL, OPEN = 0.35, 0.5, 0.7  # shares of the frames: jaw most closed, least motion, lids most open
FEWEST = 5  # frames that a median is taken of
WINDOW = 0.12  # seconds over which motion is measured


class Neutral(NamedTuple):
    """Parameters at rest, the frames that they are the median of, and of those the one that is nearest to it."""

    parameters: Parameters
    frames: np.ndarray
    nearest: int


def zero() -> Neutral:
    return Neutral(Parameters.neutral(), np.zeros(0, int), 0)


def find(p: Performance) -> Neutral:
    frames = at_rest(p)
    wide = lowest(p.eyelids.max(1), OPEN)
    parameters = Parameters(
        np.median(p.expression[frames], 0),
        np.median(p.jaw_pose[frames], 0),
        np.median(p.eye_pose[wide], 0),
        np.median(p.eyelids[wide], 0),
    )
    away = np.abs(p.expression[frames] - parameters.expression).sum(1)
    return Neutral(Parameters(*(x.astype(np.float32) for x in parameters)), frames, int(frames[away.argmin()]))


def at_rest(p: Performance) -> np.ndarray:
    """Frames (K,) that are still, with the mouth closed and the eyes open; fewer conditions where few meet them all."""
    conditions = [
        lowest(p.jaw_pose[:, 0], CLOSED),
        lowest(p.eyelids.max(1), OPEN),
        lowest(motion(p), STILL),
    ]
    for n in (3, 2, 1):
        frames = conditions[0]
        for more in conditions[1:n]:
            frames = np.intersect1d(frames, more)
        if len(frames) >= FEWEST:
            return frames
    return conditions[0]


def lowest(value: np.ndarray, share: float) -> np.ndarray:
    """Frames of the lowest values, ties included."""
    return np.flatnonzero(value <= np.quantile(value, share))


def motion(p: Performance) -> np.ndarray:
    """(F,) how much expression and jaw change around each frame, a second."""
    x = np.concatenate([p.expression, 10 * p.jaw_pose], 1)
    after = np.clip(np.searchsorted(p.times, p.times + WINDOW / 2), 0, len(p) - 1)
    before = np.clip(np.searchsorted(p.times, p.times - WINDOW / 2, side="right") - 1, 0, len(p) - 1)
    return np.linalg.norm(x[after] - x[before], axis=1) / np.maximum(p.times[after] - p.times[before], 1e-3)
