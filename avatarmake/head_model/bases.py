"""Shape and expression bases of the open head: Gaussian processes over the surface, and named expressions.

A displacement field drawn from a Gaussian process with kernel K is B x, x standard normal, for any B with B B^T = K.
A pivoted Cholesky decomposition gives B column by column, each at the place least explained so far: coarse shapes
first, then ever finer ones, ready for a standard-normal prior (Gaussian process morphable models: Luethi et al., PAMI
2018). Kernels that are even or odd in x give fields that are symmetric about the head's middle, or antisymmetric.
"""

from dataclasses import dataclass

import numpy as np

SYMMETRIC_SHAPES, ANTISYMMETRIC_SHAPES = 67, 33  # of each axis: 300 in all


@dataclass
class Kernel:
    """A sum of Gaussian kernels, k(p,q) = sum_i a_i(p) a_i(q) exp(-|p-q|^2 / 2 s_i^2), over points of any dimension."""

    points: np.ndarray  # (V,d): x first; further coordinates may hold apart what touches (lips, lids)
    scales: list[tuple[float, np.ndarray]]  # (s_i, a_i (V,))
    parity: int  # +1 even in x, -1 odd

    def columns(self, j: int) -> np.ndarray:
        """k(., p_j), made even or odd."""
        here = self.points[j]
        there = here * np.r_[-1, np.ones(len(here) - 1)]
        near, far = (((self.points - q) ** 2).sum(1) for q in (here, there))
        return sum(
            a * a[j] * (np.exp(-near / (2 * s * s)) + self.parity * np.exp(-far / (2 * s * s))) / 2
            for s, a in self.scales
        )

    def diagonal(self) -> np.ndarray:
        far = 4 * self.points[:, 0] ** 2
        return sum(a * a * (1 + self.parity * np.exp(-far / (2 * s * s))) / 2 for s, a in self.scales)

    def basis(self, n: int, candidates: np.ndarray) -> np.ndarray:
        """(V,n) the first columns of the pivoted Cholesky factor; pivots among `candidates` (ids)."""
        left = self.diagonal()
        out = np.zeros((len(self.points), n))
        for k in range(n):
            # rounded, so that mirrored twins tie and the first wins on every machine
            j = candidates[np.argmax(np.round(left[candidates] * 1e10))]
            column = self.columns(j) - out[:, :k] @ out[j, :k]
            out[:, k] = column / np.sqrt(max(left[j], 1e-14))
            left -= out[:, k] ** 2
        return out


def fields(even: np.ndarray, odd: np.ndarray, symmetric: bool) -> np.ndarray:
    """(V,n) scalar bases -> (V,3,3n) displacements: x, y, z in turn, coarse to fine."""
    v, n = even.shape
    out = np.zeros((v, 3, n, 3))
    for axis in range(3):
        out[:, axis, :, axis] = odd if (axis == 0) == symmetric else even
    return out.reshape(v, 3, 3 * n)


def process_fields(
    points: np.ndarray, scales: list, candidates: np.ndarray, symmetric: int, antisymmetric: int
) -> np.ndarray:
    """(V,3,3 (symmetric + antisymmetric)): the symmetric fields first."""
    even, odd = (Kernel(points, scales, parity).basis(max(symmetric, antisymmetric), candidates) for parity in (1, -1))
    parts = ((symmetric, True), (antisymmetric, False))
    return np.concatenate([fields(even[:, :n], odd[:, :n], which) for n, which in parts], -1)


def without_rigid_motion(dirs: np.ndarray, points: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Take from each field the translation and rotation that explain it best at the vertices `where` (ids).

    Else shape and camera would say the same thing twice.
    """
    centred = points - points[where].mean(0)
    x, y, z = centred.T
    o, e = np.zeros_like(x), np.ones_like(x)
    rigid = np.stack([[e, o, o], [o, e, o], [o, o, e], [o, -z, y], [z, o, -x], [-y, x, o]], -1).transpose(1, 0, 2)
    a = rigid[where].reshape(-1, 6)
    share = np.linalg.solve(a.T @ a, a.T @ dirs[where].reshape(3 * len(where), -1))
    return dirs - np.einsum("vcr,rk->vck", rigid, share)


def shape_fields(points: np.ndarray, detail: np.ndarray, coarse: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """(V,3,300). `coarse`, `detail` (V,): how much of the broad and of the fine variation each vertex takes part in."""
    scales = [(0.070, 0.0045 * coarse), (0.026, 0.0024 * detail), (0.011, 0.0011 * detail)]
    return process_fields(points, scales, candidates, SYMMETRIC_SHAPES, ANTISYMMETRIC_SHAPES)


# --- named expressions ---------------------------------------------------------------------------------------------

# name -> (symmetric?, [(landmark of the subject's left half or the middle, radius in m, move in mm (x, y, z)), ...])
# Moves are for one standard deviation; the mirrored half follows, in x with the other sign (antisymmetric: all signs).
NAMED: dict[str, tuple[bool, list[tuple[int, float, tuple[float, float, float]]]]] = {
    "smile": (True, [(291, 0.012, (3.2, 2.6, -2.6)), (321, 0.013, (1.8, 0.8, -1.6)), (269, 0.013, (1.6, 0.9, -1.2)),
                     (425, 0.020, (0.8, 1.6, 1.4)), (0, 0.012, (0, 0.5, -0.8)), (17, 0.012, (0, 0.4, -0.8)),
                     (374, 0.009, (0, 0.5, 0.2))]),
    "lip_corner_down": (True, [(291, 0.012, (0.3, -2.8, -0.6)), (321, 0.012, (0, -0.9, 0))]),
    "pucker": (True, [(291, 0.013, (-3.2, 0, 1.4)), (0, 0.012, (0, 0.2, 2.2)), (17, 0.012, (0, -0.2, 2.2)),
                      (269, 0.011, (-1.0, 0.2, 1.8)), (321, 0.011, (-1.0, -0.2, 1.8))]),
    "upper_lip_raise": (True, [(0, 0.013, (0, 2.0, 0.3)), (269, 0.012, (0, 2.0, 0.2)), (327, 0.010, (0.3, 0.8, 0))]),
    "lower_lip_down": (True, [(17, 0.014, (0, -2.0, 0.2)), (321, 0.012, (0, -1.8, 0))]),
    "brow_inner_up": (True, [(285, 0.013, (0, 2.4, 0.2)), (9, 0.014, (0, 1.4, 0)), (337, 0.018, (0, 1.0, 0))]),
    "brow_outer_up": (True, [(334, 0.014, (0, 2.4, 0.1)), (276, 0.013, (0, 2.0, 0)), (298, 0.016, (0, 1.0, 0))]),
    "brow_knit": (True, [(285, 0.012, (-1.8, -1.4, 0.6)), (282, 0.013, (-0.5, -1.4, 0.2))]),
    "cheek_puff": (True, [(425, 0.020, (1.6, 0, 2.2)), (432, 0.018, (1.6, -0.3, 1.6)), (291, 0.012, (-0.6, 0, 0.5))]),
    "cheek_raise": (True, [(330, 0.018, (0.3, 1.8, 0.8)), (374, 0.009, (0, 1.1, 0.2)), (263, 0.010, (0.2, 0, -0.2))]),
    "nose_wrinkle": (True, [(327, 0.012, (0.4, 1.4, 0.2)), (437, 0.012, (0, 1.0, 0.5)), (0, 0.012, (0, 0.6, 0))]),
    "mouth_sideways": (False, [(0, 0.020, (2.4, 0, 0)), (17, 0.020, (2.4, 0, 0)), (291, 0.016, (2.0, 0, 0))]),
    "upper_lip_roll": (True, [(0, 0.010, (0, -0.9, -1.4)), (269, 0.010, (0, -0.9, -1.2))]),
    "lower_lip_roll": (True, [(17, 0.010, (0, 0.9, -1.4)), (321, 0.010, (0, 0.9, -1.2))]),
    "lips_apart": (True, [(13, 0.008, (0, 1.1, 0)), (14, 0.008, (0, -1.1, 0)), (311, 0.008, (0, 0.8, 0)),
                          (402, 0.008, (0, -0.8, 0))]),
    "chin_raise": (True, [(199, 0.018, (0, 1.6, 0.8)), (17, 0.012, (0, 1.4, 0.8))]),
    "smile_one_sided": (False, [(291, 0.013, (1.8, 1.8, -1.2)), (425, 0.018, (0.6, 1.0, 0.8))]),
    "brow_one_sided": (False, [(334, 0.018, (0, 2.2, 0)), (285, 0.013, (0, 1.2, 0))]),
    "lips_stretch": (True, [(291, 0.014, (2.8, -0.6, -1.6)), (0, 0.011, (0, 0, -0.6)), (17, 0.011, (0, 0, -0.6))]),
    "upper_lid_raise": (True, [(386, 0.007, (0, 1.2, 0)), (385, 0.007, (0, 0.6, 0)), (387, 0.007, (0, 0.6, 0))]),
    "jaw_forward": (True, [(152, 0.030, (0, 0, 1.6)), (17, 0.018, (0, 0, 1.2))]),
    "nostril_flare": (True, [(331, 0.008, (1.0, 0, 0.2)), (327, 0.008, (0.8, 0.2, 0))]),
    "lip_corner_in": (True, [(291, 0.010, (-0.8, 0.2, -1.6))]),
    "squint": (True, [(374, 0.008, (0, 0.9, 0)), (386, 0.007, (0, -0.6, 0)), (340, 0.014, (0, 1.0, 0.3))]),
    "mouth_slant": (False, [(291, 0.016, (0, 2.2, 0)), (269, 0.014, (0, 1.2, 0)), (321, 0.014, (0, 1.2, 0))]),
}  # fmt: skip
SYMMETRIC_BUMPS, ANTISYMMETRIC_BUMPS = 16, 9  # of each axis: with the 25 named ones 100


def expression_fields(points: np.ndarray, apart: np.ndarray, mobile: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """(V,3,100): the named ones, then ever finer ones. `apart` (V,k): further coordinates that part lips and lids.

    `mobile` (V,): 1 where the face moves, 0 where it never does. Landmark i must be vertex i.
    """
    p = np.c_[points, apart]
    mirror = np.r_[-1, np.ones(p.shape[1] - 1)]
    named = np.zeros((len(p), 3, len(NAMED)))
    for k, (symmetric, bumps) in enumerate(NAMED.values()):
        sign = np.array([-1, 1, 1]) if symmetric else np.array([1, -1, -1])
        for landmark, radius, move in bumps:
            here = p[landmark]
            for centre, way in ((here, 1), (here * mirror, sign)):
                if centre is not here and abs(here[0]) < 1e-6:  # on the middle line: once
                    continue
                bump = np.exp(-((p - centre) ** 2).sum(1) / (2 * radius**2))
                named[:, :, k] += bump[:, None] * np.array(move) * way * 1e-3
    scales = [(0.018, 0.0011 * mobile), (0.009, 0.0007 * mobile)]
    fine = process_fields(p, scales, candidates, SYMMETRIC_BUMPS, ANTISYMMETRIC_BUMPS)
    return np.concatenate([named * np.minimum(1, 1.5 * mobile)[:, None, None], fine], -1)
