"""How much each vertex of the skin follows the jaw."""

import numpy as np

from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.mesh import Mesh

CORNER = 0.35  # the corners of the mouth follow by this much
ALONG_LIP = np.array([CORNER, 0.75, 0.95, 1, 1, 1, 1, 1, 0.95, 0.75, CORNER])
# the jaw's line, from the chin to the ear, and how much of the jaw's motion its skin follows
JAW_LINE = ((152, 1), (148, 1), (176, 1), (149, 1), (150, 1), (136, 0.95), (172, 0.85), (58, 0.6), (132, 0.3),
            (93, 0.1))  # fmt: skip


def jaw_weight(skin: Mesh, cavity: list[np.ndarray]) -> np.ndarray:
    """(V,) 1 on the lower lip and the chin, 0 on the upper lip and above: harmonic (smoothest) in between."""
    fixed = np.full(len(skin.points), np.nan)
    y, z = skin.points[:, 1], skin.points[:, 2]
    face = np.arange(510)
    fixed[face[y[face] > np.interp(z[face], [-0.05, 0.01], [-0.028, -0.042])]] = 0
    fixed[(skin.values["ring"] >= 9)] = 0
    fixed[(skin.values["ring"] > 0) & ((y > -0.06) | (z < -0.09))] = 0
    mirror = dict(zip(names.FACE_OVAL, names.FACE_OVAL[:1] + names.FACE_OVAL[:0:-1], strict=True))
    for landmark, weight in JAW_LINE:
        fixed[[landmark, mirror[landmark]]] = weight
    fixed[[175, 199, 200, 18]] = 1
    for upper, lower in zip(names.LIP_RINGS_UPPER, names.LIP_RINGS_LOWER, strict=True):
        fixed[list(upper)] = 0
        fixed[list(lower)] = ALONG_LIP
        fixed[[upper[0], upper[-1]]] = CORNER
    n = len(names.LIPS_INNER_UPPER)
    for ring in cavity[1:]:
        fixed[ring[:n]] = 0
        fixed[ring[n:]] = 1
        fixed[ring[[0, n - 1]]] = CORNER
    return harmonic(skin, fixed)


def harmonic(skin: Mesh, fixed: np.ndarray) -> np.ndarray:
    """Fill what is NaN in `fixed` (V,) with the mean of its neighbours (uniform Laplace equation)."""
    f = skin.faces
    edges = np.unique(np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), 1), axis=0)
    free = np.flatnonzero(np.isnan(fixed))
    number = np.full(len(fixed), -1)
    number[free] = np.arange(len(free))
    known = np.nan_to_num(fixed)
    a, b = np.zeros((len(free), len(free))), np.zeros(len(free))
    for i, j in np.concatenate([edges, edges[:, ::-1]]):
        if number[i] >= 0:
            a[number[i], number[i]] += 1
            if number[j] >= 0:
                a[number[i], number[j]] -= 1
            else:
                b[number[i]] += known[j]
    alone = np.diag(a) == 0
    a[alone, alone] = 1
    known[free] = np.linalg.solve(a, b)
    return np.clip(known, 0, 1)
