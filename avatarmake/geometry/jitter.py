"""Jitter: how much points that hardly deform shake from frame to frame. What hurts an avatar most."""

import numpy as np

# MediaPipe's numbers; the subject's right side first
BROWS = (70, 63, 105, 66, 107, 300, 293, 334, 296, 336)
NOSE = (168, 6, 197, 195, 5, 4, 1)
EYE_CORNERS = (33, 133, 362, 263)
RIGID = BROWS + NOSE + EYE_CORNERS


def jitter_px(points: np.ndarray, frames: np.ndarray | None = None) -> float | None:
    """Root mean square of the second difference |p[i-1] - 2 p[i] + p[i+1]| over points and frames, in pixels.

    points (N,L,2) in pixels, of the landmarks RIGID; frames (N,) their frame numbers, ascending: only three frames in
    a row count, so a gap in the tracking is no jitter. A steady motion has none. None where no three are in a row.
    """
    points = np.asarray(points, np.float64)
    frames = np.arange(len(points)) if frames is None else np.asarray(frames)
    if len(points) < 3:
        return None
    in_a_row = frames[2:] - frames[:-2] == 2
    if not in_a_row.any():
        return None
    second = (points[:-2] - 2 * points[1:-1] + points[2:])[in_a_row]
    return float(np.sqrt((second**2).sum(-1).mean()))
