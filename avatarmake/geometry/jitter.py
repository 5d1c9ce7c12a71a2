"""Jitter: how much points that hardly deform shake from frame to frame. What hurts an avatar most."""

import numpy as np

# MediaPipe's numbers; the subject's right side first
BROWS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336)
NOSE = (168, 6, 197, 195, 5, 4, 1)
EYE_CORNERS = (33, 133, 362, 263)
RIGID = BROWS + NOSE + EYE_CORNERS
CUT = 0.25  # of their extent: points that move so far at once are after a cut. A real head at 25 a second: .05 at most


def cuts(points: np.ndarray) -> np.ndarray:
    """(N,L,2) of the landmarks RIGID, ascending in time -> (N,) bool: whether a frame is the first after a cut."""
    first = np.zeros(len(points), bool)
    if len(points) > 1:
        extent = np.ptp(points, axis=1).max(1)
        moved = np.linalg.norm(np.diff(points.mean(1), axis=0), axis=1)
        grown = np.abs(np.diff(extent))
        first[1:] = np.maximum(moved, grown) > CUT * np.maximum(extent[1:], extent[:-1])
    return first


def apart(frames: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Frame numbers (N,), ascending, with a gap at every cut: what follows each other in them moves steadily."""
    return np.asarray(frames) + np.cumsum(cuts(points))


def jitter_px(points: np.ndarray, frames: np.ndarray | None = None) -> float | None:
    """Root mean square of the second difference |p[i-1] - 2 p[i] + p[i+1]| over points and frames, in pixels.

    points (N,L,2) in pixels, of the landmarks RIGID; frames (N,) their frame numbers, ascending: only three frames in
    a row count, so neither a gap in the tracking nor a cut is jitter. A steady motion has none. None where no three are
    in a row.
    """
    points = np.asarray(points, np.float64)
    frames = np.arange(len(points)) if frames is None else np.asarray(frames)
    if len(points) < 3:
        return None
    frames = apart(frames, points)
    in_a_row = frames[2:] - frames[:-2] == 2
    if not in_a_row.any():
        return None
    second = (points[:-2] - 2 * points[1:-1] + points[2:])[in_a_row]
    return float(np.sqrt((second**2).sum(-1).mean()))
