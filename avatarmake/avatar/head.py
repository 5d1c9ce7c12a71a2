"""The head under an avatar: of one person's head model, the vertices that Gaussians stand on, posed frame by frame.

The formula is the head model's own (avatarmake/head_model/model.py). What does not change along a video is done once:
the person's shape is in `rest` and in the joints; expression, eyelids and what joints correct are one basis; and the
vertices that it moves come first, so that the others cost nothing but their skinning.
"""

from typing import NamedTuple

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE, STRICT, f4
from avatarmake.geometry import rotations
from avatarmake.head_model.body import Body
from avatarmake.head_model.model import ROOT, HeadModel

BLOCK = 1024  # numbers that a thread blends at once


class Parameters(NamedTuple):
    """One frame of a head: see docs/conventions.md. Rotations are axis-angle in radians."""

    expression: np.ndarray  # (100,)
    jaw_pose: np.ndarray  # (3,)
    eye_pose: np.ndarray  # (6,) the subject's left eye first
    eyelids: np.ndarray  # (2,) left, right; 0 open, 1 closed

    @classmethod
    def neutral(cls) -> "Parameters":
        return cls(*(np.zeros(n, np.float32) for n in (100, 3, 6, 2)))


class Head(NamedTuple):
    """V vertices, of which a basis of B fields moves the first M. float32; joints are root, neck, jaw, left, right eye.

    The rows of `basis` are the expression's 100, the two eyelids', and, where the model has them, the 36 of its
    joints' corrections.
    """

    rest: np.ndarray  # (V,3) metres
    basis: np.ndarray  # (B,M,3)
    weights: np.ndarray  # (V,5) skinning weights
    joints: np.ndarray  # (5,3)
    parents: np.ndarray  # (5,) -1 for the root

    def coefficients(self, p: Parameters, rotation: np.ndarray) -> np.ndarray:
        """(B,) of the basis; `rotation` (5,3,3) of the joints."""
        parts = [p.expression, p.eyelids]
        if len(self.basis) > sum(map(len, parts)):
            parts.append((rotation[1:] - np.eye(3, dtype=np.float32)).ravel())
        return np.concatenate(parts).astype(np.float32)

    def vertices(self, p: Parameters, body: Body | None = None) -> np.ndarray:
        """-> (V,3) float32. `body`: of this one frame; without it shoulders go along with the head."""
        turns = np.zeros((5, 3), np.float32)
        turns[2], turns[3], turns[4] = p.jaw_pose, p.eye_pose[:3], p.eye_pose[3:]
        rotation = rotations.matrix_from_axis_angle(turns)
        flat = np.ascontiguousarray(self.rest.reshape(-1))
        blended = _blend(flat, self.basis.reshape(len(self.basis), -1), self.coefficients(p, rotation))
        posed = _skin(blended.reshape(-1, 3), self.weights, *self.chain(rotation))
        return posed if body is None else body.bend(posed[None], self.weights[:, ROOT])[0]

    def chain(self, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations of the joints (5,3,3) -> R (5,3,3), t (5,3) that move a vertex along with each."""
        r, t = np.empty_like(rotation), np.empty((5, 3), np.float32)
        for j, parent in enumerate(self.parents):
            own = self.joints[j] - rotation[j] @ self.joints[j]
            if parent < 0:
                r[j], t[j] = rotation[j], own
            else:
                r[j], t[j] = r[parent] @ rotation[j], r[parent] @ own + t[parent]
        return r, t


def head(model: HeadModel, shape: np.ndarray, corners: np.ndarray) -> tuple[Head, np.ndarray]:
    """The head of `shape` (300,) under Gaussians on triangles with these vertices, (N,3) -> it, and its own numbers for
    them (N,3) int32."""
    used = np.unique(corners)
    fields = [np.moveaxis(model.exprdirs[used], -1, 0), model.eyeliddirs[:, used]]
    if model.posedirs.any():
        fields.append(model.posedirs[:, used])
    basis = np.concatenate(fields).astype(np.float32)
    moves = basis.any((0, 2))
    order = np.argsort(~moves, kind="stable")
    number = np.empty(len(model.v_template), np.int32)
    number[used[order]] = np.arange(len(used))
    basis = np.ascontiguousarray(basis[:, order[: moves.sum()]])
    rest = np.ascontiguousarray(model.identity(shape)[used[order]], np.float32)
    weights = np.ascontiguousarray(model.weights[used[order]], np.float32)
    joints = np.ascontiguousarray(model.joints(shape), np.float32)
    return Head(rest, basis, weights, joints, model.parents), number[corners]


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def _blend(rest, basis, coefficients):
    """rest (3V,) + coefficients (B,) basis (B,3M), on its first 3M numbers."""
    out = rest.copy()
    rows, length = basis.shape
    for block in nb.prange((length + BLOCK - 1) // BLOCK):
        first, end = np.uint64(block * BLOCK), np.uint64(min((block + 1) * BLOCK, length))
        for k in range(rows):
            factor = coefficients[k]
            if factor != f4(0):
                for i in range(first, end):
                    out[i] += factor * basis[k, i]
    return out


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def _skin(vertices, weights, r, t):
    """sum_j weights_j (R_j v + t_j) -> (V,3)."""
    out = np.empty_like(vertices)
    for i in nb.prange(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        for c in range(3):
            total = f4(0)
            for j in range(weights.shape[1]):
                total += weights[i, j] * (r[j, c, 0] * x + r[j, c, 1] * y + r[j, c, 2] * z + t[j, c])
            out[i, c] = total
    return out
