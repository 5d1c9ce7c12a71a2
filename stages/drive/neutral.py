"""A face at rest, found in a performance: the median of frames that are still, mouth closed and eyes open, and that
face the camera, because a tracker sees a face from aside otherwise.

Medians, so that no single expression counts; of a share of the frames that is there in any video, so that no threshold
in radians has to fit everybody. Where the eyes look and how far the lids stand open is taken of all open-eyed frames:
a gaze wanders while the face is still, and a few frames would not say where its middle is.
"""

from typing import NamedTuple

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import view_of
from avatarmake.avatar.performance import Performance

FACING, OPEN, CLOSED, STILL = 0.7, 0.8, 0.6, 0.7  # shares of the frames that are kept, one after the other
BLINK, BLINKS = 0.98, 0.3  # a quantile of the lids that is a closed eye, if it is so much above those at rest
FEWEST = 5  # frames that a median is taken of
WINDOW = 0.12  # seconds over which motion is measured


class Neutral(NamedTuple):
    """Parameters at rest, and where the lids are when they are closed: a tracker seldom sees all of a blink."""

    parameters: Parameters
    closed: np.ndarray  # (2,)
    frames: np.ndarray  # those that the parameters are the median of
    nearest: int  # the one of them that is nearest to it


def zero() -> Neutral:
    return Neutral(Parameters.neutral(), np.ones(2, np.float32), np.zeros(0, int), 0)


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
    parameters = Parameters(*(x.astype(np.float32) for x in parameters))
    return Neutral(parameters, closed(p, parameters.eyelids), frames, int(frames[away.argmin()]))


def closed(p: Performance, rest: np.ndarray) -> np.ndarray:
    """(2,) how far the lids are when they close; 1 for an eye that never blinks."""
    found = np.quantile(p.eyelids, BLINK, axis=0)
    return np.where(found > rest + BLINKS, found, np.maximum(1, rest + BLINKS)).astype(np.float32)


def at_rest(p: Performance) -> np.ndarray:
    """Frames (K,) that are left when of all those that face the camera most, of these the ones with the widest eyes, of
    these the most closed mouths, and of these the stillest are kept. A short clip keeps FEWEST."""
    facing = np.linalg.norm(view_of(p.R), axis=1)
    frames = np.arange(len(p))
    for value, share in ((facing, FACING), (p.eyelids.max(1), OPEN), (p.jaw_pose[:, 0], CLOSED), (motion(p), STILL)):
        if share * len(frames) >= FEWEST:
            frames = frames[lowest(value[frames], share)]
    return frames


def lowest(value: np.ndarray, share: float) -> np.ndarray:
    """Where the lowest values are, ties included."""
    return np.flatnonzero(value <= np.quantile(value, share))


def motion(p: Performance) -> np.ndarray:
    """(F,) how much expression and jaw change around each frame, a second."""
    x = np.concatenate([p.expression, 10 * p.jaw_pose], 1)
    after = np.clip(np.searchsorted(p.times, p.times + WINDOW / 2), 0, len(p) - 1)
    before = np.clip(np.searchsorted(p.times, p.times - WINDOW / 2, side="right") - 1, 0, len(p) - 1)
    return np.linalg.norm(x[after] - x[before], axis=1) / np.maximum(p.times[after] - p.times[before], 1e-3)
