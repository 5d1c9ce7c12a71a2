"""Where the tracked head is in each image: its solid part, its lips and nose, and where the body should begin."""

from dataclasses import dataclass

import numpy as np

from avatarmake.formats.frame import FrameRecord
from avatarmake.geometry import rotations
from avatarmake.geometry.cameras import project
from avatarmake.head_model.model import JAW, HeadModel

SOLID = ("face", "ears", "scalp", "lips", "left_eyeball", "right_eyeball")  # regions that are head whatever else is
SPACING = 0.004  # metres between the points by which the solid part is drawn
CELL = 8  # pixels: side of the grid on which it is drawn
# MediaPipe's numbers: the outer edge of the lips in order, tip and wings of the nose, in front of the two ears
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
NOSE = (1, 4, 48, 278)
EARS = (234, 454)
CHIN = (152,)
# fmt: off
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # the outline of the face, in order
# fmt: on


@dataclass(frozen=True)
class HeadView:
    """One image's head, in its pixels (centres at +0.5)."""

    solid: np.ndarray  # (P,2) points all over face and skull, without the jaw
    lips: np.ndarray  # (20,2) outer contour
    nose: np.ndarray  # (2,) its centre
    oval: np.ndarray  # (36,2) outline of the face, forehead to chin
    chin: np.ndarray  # (2,) with the mouth closed: it does not move when the mouth opens
    pivot: np.ndarray  # (2,) between the ears: it hardly moves when the head turns
    scale: float  # pixels per metre there

    @property
    def mouth(self) -> np.ndarray:
        return self.lips.mean(0)

    def solid_grid(self, size: int) -> np.ndarray:
        """(size, size) bool, size in cells of CELL pixels: where the solid head is, without gaps."""
        import cv2

        cell = (self.solid * np.float32(1 / CELL)).astype(np.int32) + 1
        grid = np.zeros((size + 2, size + 2), np.uint8)
        column, row = np.clip(cell, 0, size + 1).T  # what is outside falls on the margin
        grid[row, column] = 1
        return cv2.morphologyEx(grid[1:-1, 1:-1], cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0


class HeadProjector:
    """Head model parameters of one person -> HeadView.

    Poses what it needs, not the whole mesh; and it is small, so that processes are handed one instead of each building
    the head model.
    """

    def __init__(self, model: HeadModel, shape: np.ndarray):
        """shape (300,): that of every record, as one video has one."""
        self._shape = shape
        self._marks = model.at_landmarks(np.array([*LIPS, *NOSE, *OVAL, *EARS]))
        closed = model.at_landmarks(np.array(CHIN))
        self._chin = closed.landmarks(closed.vertices(shape))[0]
        faces = model.faces[np.any([model.regions[name] for name in SOLID if name in model.regions], axis=0)]
        still = model.weights[faces, JAW].max(1) < 0.5
        corners, weights = _surface_points(model.v_template, faces[still], SPACING)
        self._solid = (model.identity(shape)[corners] * weights[..., None]).sum(1).astype(np.float32)

    def views(self, records: list[FrameRecord]) -> list[HeadView]:
        """One HeadView a record."""
        posed = self._marks.vertices(
            self._shape,
            expression=np.stack([r.expression for r in records]),
            jaw_pose=_axis_angle(np.stack([r.jaw_rot6d for r in records])),
        )
        marks = self._marks.landmarks(posed)
        return [self._view(m, r) for m, r in zip(marks, records, strict=True)]

    def _view(self, marks: np.ndarray, r: FrameRecord) -> HeadView:
        pivot = marks[-len(EARS) :].mean(0)
        image = project(np.concatenate([marks, pivot[None], self._chin]), r.R, r.t, r.intrinsics).astype(np.float32)
        parts = np.cumsum([len(LIPS), len(NOSE), len(OVAL), len(EARS), 1])
        lips, nose, oval, _, pivot_image, chin = np.split(image, parts)
        # K (R x + t) in one product, as there are thousands of them
        homogeneous = self._solid @ (r.intrinsics @ r.R).T + r.intrinsics @ r.t
        solid = homogeneous[:, :2] / homogeneous[:, 2:]
        depth = float((r.R @ pivot + r.t)[2])
        scale = float(r.intrinsics[1, 1]) / depth
        return HeadView(solid, lips, nose.mean(0), oval, chin[0], pivot_image[0], scale)


def _axis_angle(rot6d: np.ndarray) -> np.ndarray:
    return rotations.axis_angle_from_matrix(rotations.matrix_from_rot6d(rot6d))


def _surface_points(vertices: np.ndarray, faces: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points about `spacing` apart on triangles -> corners (P,3) vertex ids, weights (P,3) barycentric."""
    edges = vertices[faces] - vertices[np.roll(faces, 1, 1)]
    steps = np.ceil(np.linalg.norm(edges, axis=-1).max(1) / spacing).astype(int).clip(1)
    corners, weights = [], []
    for n in np.unique(steps):
        i, j = np.mgrid[:n, :n]
        i, j = i[i + j < n], j[i + j < n]
        # centres of the upright sub-triangles of an n-fold division; n = 1 is the triangle's own centre
        w = np.stack([i + 1 / 3, j + 1 / 3, n - i - j - 2 / 3], -1).astype(np.float32) / n
        chosen = faces[steps == n]
        corners.append(np.repeat(chosen, len(w), 0))
        weights.append(np.tile(w, (len(chosen), 1)))
    corners, weights = np.concatenate(corners), np.concatenate(weights)
    points = (vertices[corners] * weights[..., None]).sum(1)
    _, one_each = np.unique(np.floor(points / spacing).astype(int), axis=0, return_index=True)
    return corners[one_each], weights[one_each]
