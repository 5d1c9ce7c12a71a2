"""Where the Gaussians sit: points on the head model's triangles, the same for every run."""

from typing import NamedTuple

import numpy as np

from avatarmake.head_model.model import HeadModel

# How much denser than the bare skin of the neck: what moves and what is looked at
DENSITY = {
    "neck": 1.0,
    "scalp": 1.0,
    "ears": 1.5,
    "face": 2.0,
    "left_eyeball": 4.0,
    "right_eyeball": 4.0,
    "mouth": 3.0,
    "lips": 5.0,
    "shoulders": 0.0,  # clothes are never part of the head's mask
}
UNSEEN = 0.15  # share of the density that a triangle keeps which no frame shows from the front
SPACING = (2e-4, 8e-3)  # metres


class Surface(NamedTuple):
    """N points bound to triangles. `corners` (N,3) vertex ids, `weights` (N,3) barycentric, float32; `spacing` (N,)
    metres between neighbours, the unit of length of a Gaussian there."""

    corners: np.ndarray
    weights: np.ndarray
    spacing: np.ndarray


def sample(
    model: HeadModel, vertices: np.ndarray, rotation: np.ndarray, translation: np.ndarray, count: int
) -> Surface:
    """Spread `count` points by visible area times DENSITY, without chance.

    vertices (F,V,3) of some frames, with their world-to-camera rotation (F,3,3) and translation (F,3): what faces
    away in all of them gets few points. Systematic sampling along the faces, so that no face is over- or undersampled
    by more than one point; inside a face, the R2 low-discrepancy sequence folded into the triangle.
    """
    area, seen = _areas(model.faces, vertices, rotation, translation)
    density = np.ones(len(model.faces))
    for name, factor in DENSITY.items():
        if name in model.regions:
            density[model.regions[name]] = factor
    weight = area * density * (UNSEEN + (1 - UNSEEN) * seen)
    ends = np.cumsum(weight)
    face = np.searchsorted(ends, (np.arange(count) + 0.5) / count * ends[-1])
    u, v = np.modf(0.5 + np.arange(count)[:, None] * np.array([0.7548776662466927, 0.5698402909980532]))[0].T
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    spacing = np.sqrt(area[face] / np.maximum(weight[face], 1e-12) * ends[-1] / count)
    return Surface(
        model.faces[face].astype(np.int32),
        np.stack([1 - u - v, u, v], 1).astype(np.float32),
        np.clip(spacing, *SPACING).astype(np.float32),
    )


def _areas(faces: np.ndarray, vertices: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> tuple:
    """-> mean area of each face in m^2, and the share of it that is turned to the camera, at best over the frames."""
    a, b, c = (vertices[:, faces[:, k]].astype(np.float64) for k in range(3))
    normal = np.cross(b - a, c - a) / 2
    area = np.linalg.norm(normal, axis=-1)
    eye = -(np.swapaxes(rotation, -1, -2) @ translation[..., None])[..., 0]  # the camera's place in the world
    view = eye[:, None] - (a + b + c) / 3
    facing = (normal * view).sum(-1) / np.maximum(area * np.linalg.norm(view, axis=-1), 1e-20)
    return area.mean(0), np.clip(facing.max(0), 0, 1)
