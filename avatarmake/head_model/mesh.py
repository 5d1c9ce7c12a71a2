"""Triangle meshes: pieces that carry their texture coordinates, welding nothing and refining once."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Mesh:
    """Vertices with named values each, triangles with a texture coordinate for each corner and a region."""

    points: np.ndarray  # (V,3) metres
    faces: np.ndarray  # (F,3) counter-clockwise seen from outside
    uv: np.ndarray  # (F,3,2)
    region: np.ndarray  # (F,) names
    values: dict[str, np.ndarray] = field(default_factory=dict)  # name -> (V,...)

    def value(self, name: str, shape: tuple[int, ...] = ()) -> np.ndarray:
        """The values `name` of all vertices, zero where none were given."""
        return self.values.get(name, np.zeros((len(self.points), *shape)))


def joined(meshes: list[Mesh]) -> tuple[Mesh, list[int]]:
    """One mesh of several, which stay unconnected -> the mesh, and each one's first vertex."""
    starts = np.cumsum([0] + [len(m.points) for m in meshes])
    names = {name: m.values[name].shape[1:] for m in meshes for name in m.values}
    return Mesh(
        np.concatenate([m.points for m in meshes]),
        np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=False)]),
        np.concatenate([m.uv for m in meshes]),
        np.concatenate([m.region for m in meshes]),
        {name: np.concatenate([m.value(name, shape) for m in meshes]) for name, shape in names.items()},
    ), list(starts[:-1])


def normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,3) unit normals, weighted by area; zero where no face touches."""
    a, b, c = points[faces].transpose(1, 0, 2)
    n = np.zeros_like(points)
    across = np.cross(b - a, c - a)
    for k in range(3):
        for axis in range(3):
            n[:, axis] += np.bincount(faces[:, k], across[:, axis], len(points))
    return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)


def refined(mesh: Mesh, flat: np.ndarray, roundness: float = 0.75) -> Mesh:
    """Each triangle becomes four; old vertices stay where they are, new ones bulge as the normals ask.

    `flat` (F,) bool: faces that do not bulge and whose normals do not count. Phong tessellation (Boubekeur and
    Alexa, SIGGRAPH Asia 2008) at the middles of the edges; `roundness` is its alpha.
    """
    f, n = mesh.faces, len(mesh.points)
    corners = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    edges, where = np.unique(np.sort(corners, 1), axis=0, return_inverse=True)
    ab, bc, ca = n + where.reshape(3, -1)
    middle = mesh.points[edges].mean(1)
    normal = normals(mesh.points, f[~flat])
    round_edge = np.zeros(len(edges), bool)
    round_edge[where.reshape(3, -1)[:, ~flat]] = True
    lift = np.zeros_like(middle)
    for end in (0, 1):
        normal_end, start = normal[edges[:, end]], mesh.points[edges[:, end]]
        lift -= 0.5 * ((middle - start) * normal_end).sum(1, keepdims=True) * normal_end
    middle = middle + roundness * lift * round_edge[:, None]
    uab, ubc, uca = (mesh.uv + np.roll(mesh.uv, -1, 1)).transpose(1, 0, 2) / 2
    ua, ub, uc = mesh.uv.transpose(1, 0, 2)
    a, b, c = f.T

    def stack(*triangles):  # the four children of a face stay together
        return np.stack([np.stack(t, 1) for t in triangles], 1).reshape(-1, *np.stack(triangles[0], 1).shape[1:])

    return Mesh(
        np.concatenate([mesh.points, middle]),
        stack((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)),
        stack((ua, uab, uca), (uab, ub, ubc), (uca, ubc, uc), (uab, ubc, uca)),
        np.repeat(mesh.region, 4),
        {name: np.concatenate([v, v[edges].mean(1)]) for name, v in mesh.values.items()},
    )


def grid_faces(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Triangles of a grid of vertices numbered row by row; `closed` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = r * columns + c, r * columns + (c + 1) % columns
    quads = np.stack([a, b, b + columns, a + columns], -1).reshape(-1, 4)
    return quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
