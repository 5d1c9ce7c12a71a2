"""How good a tracking is, whichever tracker made it: the `quality` of tracker.json, and the line that says it.

Each tracker measures its own points of the face; what is made of them is the same: the error of a frame is the mean
distance in px between landmarks as fitted and as detected, also in per cent of the distance between the outer corners
of the eyes; over a video, median and 95th percentile. Jitter: avatarmake/geometry/jitter.py.
"""

import numpy as np

from avatarmake.geometry.jitter import jitter_px

FIGURES = ("error_px", "eyes_px", "rigid", "raw")  # what a tracker measures, a row for each tracked frame


def summary(frames: np.ndarray, error_px: np.ndarray, eyes_px: np.ndarray, rigid: np.ndarray, raw: np.ndarray) -> dict:
    """Numbers of the tracked frames (F,), errors (F,) px, eye distances (F,) px, points that hardly deform (F,R,2) px.

    `rigid` are those points as fitted, `raw` as detected.
    """
    return {
        "landmark_error_px": _spread(error_px),
        "landmark_error_pct": _spread(100 * error_px / eyes_px),
        "jitter_px": _jitter(rigid, frames),
        "jitter_px_raw": _jitter(raw, frames),
    }


def line(tracker: dict) -> str:
    """What a person wants to know of tracker.json."""
    q = tracker["quality"]
    return (
        f"{len(tracker['tracked'])} of {tracker['frames']} frames, "
        f"landmark error {q['landmark_error_px']['median']:.2f} px "
        f"({q['landmark_error_pct']['median']:.2f} % of the eyes' distance), jitter {q['jitter_px']} px "
        f"(detections: {q['jitter_px_raw']}), focal length {tracker['focal']:.0f} px"
    )


def _spread(x: np.ndarray) -> dict[str, float]:
    return {"median": round(float(np.median(x)), 3), "p95": round(float(np.percentile(x, 95)), 3)}


def _jitter(points: np.ndarray, frames: np.ndarray) -> float | None:
    shake = jitter_px(points, frames)
    return None if shake is None else round(shake, 4)
