"""The body under a moving head.

All rigid motion is the camera's, so that shoulders would turn with the head. A body moves more slowly: it is where the
head is on average over some seconds, in the camera's axes. Seen from the head it turns about the neck's joint,

    x' = turn x + shift,        turn = R^T R_body,        shift = J - turn J + R^T (p_body - p),        p = R J + t,

for the root's part of a vertex; the rest is the head's and stays where it is. R_body and p_body are means of R and p
under a Gaussian of `seconds`, never across a cut. 0 seconds: a body that goes along with the head.
"""

from typing import NamedTuple

import numpy as np

from avatarmake.geometry import cameras, jitter
from avatarmake.head_model.model import NECK, ROOT, HeadModel

KNOTS = 4  # in each `seconds`: between them a smooth curve is a line
REACH = 3  # standard deviations that a mean looks ahead and back


class Body(NamedTuple):
    """Of F frames: where the root goes, in the head's axes. float32."""

    turn: np.ndarray  # (F,3,3)
    shift: np.ndarray  # (F,3) metres

    def of(self, i: int) -> "Body":
        """Of frame i alone."""
        return Body(self.turn[i : i + 1], self.shift[i : i + 1])

    def bend(self, vertices: np.ndarray, weights: np.ndarray, frames: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Vertices (F,V,3) of those frames, neck and root at rest, and the root's weights (V,) -> (F,V,3)."""
        below = np.flatnonzero(weights)
        moved = np.array(vertices, np.float32)
        x = moved[:, below]
        to = x @ self.turn[frames].transpose(0, 2, 1) + self.shift[frames, None]
        moved[:, below] += weights[below, None] * (to - x)
        return moved


def root_weights(model: HeadModel) -> np.ndarray:
    """(V,) how much of each vertex is the body's."""
    return model.weights[:, ROOT]


def body(
    model: HeadModel,
    shape: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    intrinsics: np.ndarray,
    times: np.ndarray,
    seconds: float,
) -> Body:
    """shape (300,), world-to-camera (F,3,3), (F,3) of frames at `times` (F,), ascending -> their Body."""
    still = rigid(model, shape)
    return held(model.joints(shape)[NECK], still, rotation, translation, intrinsics, times, seconds)


def rigid(model: HeadModel, shape: np.ndarray) -> np.ndarray:
    """shape (300,) -> (L,3) landmarks that hardly deform, at rest: by them a cut is told."""
    return model.landmarks(model.identity(shape)[None])[0, np.isin(model.landmark_ids, jitter.RIGID)]


def held(
    neck: np.ndarray,
    still: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    intrinsics: np.ndarray,
    times: np.ndarray,
    seconds: float,
) -> Body:
    """`body`, by the neck's joint (3,) and `rigid` (L,3) of the head."""
    if not seconds:
        return Body(np.tile(np.eye(3, dtype=np.float32), (len(times), 1, 1)), np.zeros((len(times), 3), np.float32))
    r, joint = rotation.astype(np.float64), neck.astype(np.float64)
    place = r @ joint + translation
    first = jitter.cuts(cameras.project(still, rotation, translation, intrinsics))
    rows = np.concatenate([r.reshape(-1, 9), place], 1)
    parts = np.split(np.arange(len(times)), np.flatnonzero(first))
    mean = np.concatenate([_mean(rows[part], np.asarray(times)[part], seconds) for part in parts if len(part)])
    u, _, vt = np.linalg.svd(mean[:, :9].reshape(-1, 3, 3))  # the rotation nearest to a mean of rotations
    turn = r.transpose(0, 2, 1) @ u @ vt
    shift = joint - turn @ joint + (r.transpose(0, 2, 1) @ (mean[:, 9:] - place)[..., None])[..., 0]
    return Body(turn.astype(np.float32), shift.astype(np.float32))


def _mean(rows: np.ndarray, times: np.ndarray, seconds: float) -> np.ndarray:
    """(F,C) at times (F,) -> (F,C): means under a Gaussian, taken at knots and interpolated."""
    if np.isinf(seconds):
        return np.repeat(rows.mean(0, keepdims=True), len(rows), 0)
    even = np.arange(times[0], times[-1], seconds / KNOTS)
    knots = times[np.unique([*np.searchsorted(times, even), len(times) - 1])]  # frames: there are some about each
    means = np.empty((len(knots), rows.shape[1]))
    for k, knot in enumerate(knots):
        near = slice(*np.searchsorted(times, [knot - REACH * seconds, knot + REACH * seconds]))
        weights = np.exp(-0.5 * ((times[near] - knot) / seconds) ** 2)
        means[k] = weights @ rows[near] / weights.sum()
    return np.stack([np.interp(times, knots, column) for column in means.T], 1)
