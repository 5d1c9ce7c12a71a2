"""A textured mesh: read from an OBJ, and which triangle lies at each pixel of its texture, as PyTorch3D says it.

FlashAvatar asks once a training, for a flat mesh and one triangle a pixel; where in it, its corners' weights say.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch

SMALLEST = np.float32(1e-8)  # twice a triangle's area below which it covers nothing


class Meshes(NamedTuple):
    verts: torch.Tensor  # (1,V,3) x to the left, y up, the picture from -1 to 1; z in front of the camera
    faces: torch.Tensor  # (1,F,3)


def load_obj(path) -> tuple[torch.Tensor, SimpleNamespace, SimpleNamespace]:
    """-> vertices (V,3); the triangles' numbers of vertices and of texture coordinates, (F,3) each; these (T,2)."""
    vertices, uv, corners = [], [], []
    with open(path) as file:
        for line in file:
            word, *rest = line.split() or [""]
            if word == "v":
                vertices.append([float(x) for x in rest[:3]])
            elif word == "vt":
                uv.append([float(x) for x in rest[:2]])
            elif word == "f":
                corners.append([[int(x) - 1 for x in part.split("/")[:2]] for part in rest])
    of = torch.tensor(corners)
    triangles = SimpleNamespace(verts_idx=of[..., 0], textures_idx=of[..., 1])
    return torch.tensor(vertices), triangles, SimpleNamespace(verts_uvs=torch.tensor(uv))


def rasterize_meshes(meshes: Meshes, image_size: int, **_) -> tuple[torch.Tensor, ...]:
    """-> triangle (1,S,S,1), -1 where there is none; depth; weights of its corners (1,S,S,1,3); no distances.

    Float32 throughout and corner by corner as PyTorch3D computes it, so that the same pixels are covered: their number
    is the number of Gaussians.
    """
    corners = meshes.verts[0].detach().cpu().numpy().astype(np.float32)[meshes.faces[0].cpu().numpy()]
    steps = np.arange(image_size - 1, -1, -1, dtype=np.float32)
    centres = np.float32(-1) + (2 * steps + 1) / np.float32(image_size)  # of pixels: the left one has the largest x
    shape = (image_size, image_size)
    triangle, depth = np.full(shape, -1, np.int64), np.full(shape, np.inf, np.float32)
    weights = np.full((*shape, 3), -1, np.float32)
    for number, (a, b, c) in enumerate(corners):
        twice = _across(c[0], c[1], a, b)
        low, high = corners[number].min(0), corners[number].max(0)
        columns = np.flatnonzero((centres >= low[0]) & (centres <= high[0]))
        rows = np.flatnonzero((centres >= low[1]) & (centres <= high[1]))
        if abs(twice) <= SMALLEST or not len(columns) or not len(rows):
            continue
        x, y = centres[columns][None], centres[rows][:, None]
        parts = [_across(x, y, *side) / (twice + SMALLEST) for side in ((b, c), (c, a), (a, b))]
        inside = np.stack(parts, -1)
        away = inside @ corners[number, :, 2]
        here = np.ix_(rows, columns)
        nearer = (inside > 0).all(-1) & (away >= 0) & (away < depth[here])
        triangle[here] = np.where(nearer, number, triangle[here])
        depth[here] = np.where(nearer, away, depth[here])
        weights[here] = np.where(nearer[..., None], inside, weights[here])
    depth[triangle < 0] = -1
    device = meshes.verts.device
    found = (torch.from_numpy(plane)[None, :, :, None].to(device) for plane in (triangle, depth, weights))
    return (*found, None)


def _across(x, y, a: np.ndarray, b: np.ndarray):
    """Twice the area of the triangle of (x,y), a and b, signed."""
    return (x - a[0]) * (b[1] - a[1]) - (y - a[1]) * (b[0] - a[0])
