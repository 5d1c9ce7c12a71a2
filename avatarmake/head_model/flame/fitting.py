"""Our own face template laid over a FLAME head, so that every landmark of MediaPipe's finds its place on the skin.

The displacement of the template is a Gaussian process (as in bases.py): smooth by its kernel, it follows what is known
of single landmarks closely, and the nearest points of the skin loosely at first, then ever more closely. (Gaussian
process registration: Luethi et al., PAMI 2018.)
"""

from dataclasses import dataclass

import numpy as np

from avatarmake.head_model import landmark_names as names
from avatarmake.head_model import skin as skins
from avatarmake.head_model.flame import surface
from avatarmake.head_model.flame.eyes import Eye, on_rim
from avatarmake.head_model.mesh import normals

ROUNDS = ((0.080, 0.012), (0.060, 0.008), (0.045, 0.005), (0.035, 0.004), (0.026, 0.003), (0.020, 0.002),
          (0.016, 0.0015), (0.012, 0.0012))  # kernel's reach, noise of nearest points: metres  # fmt: skip
APART = 0.05  # metres by which upper and lower lip, upper and lower lid are held apart in the kernel
VIEWS = np.array([(0, 0, 1.0), (0.6, 0, 0.8), (-0.6, 0, 0.8), (0.95, 0, 0.3), (-0.95, 0, 0.3), (0, -0.6, 0.8)])


@dataclass
class Known:
    """What is known of a landmark's place: `place` (n,3) of landmarks `ids` (n,), give or take `noise` (n,3)."""

    ids: np.ndarray
    place: np.ndarray
    noise: np.ndarray

    def __add__(self, other: "Known") -> "Known":
        new = ~np.isin(other.ids, self.ids)  # what was known before is known better
        parts = ((getattr(self, f), getattr(other, f)[new]) for f in ("ids", "place", "noise"))
        return Known(*(np.concatenate(p) for p in parts))


NOTHING = Known(np.zeros(0, int), np.zeros((0, 3)), np.zeros((0, 3)))


def template() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> points (468,3), their outward normals, and their places in the kernel (468,4): lips and lids apart."""
    points, triangles = skins.face_template()
    apart = np.zeros(len(points))
    pairs = ((names.LIP_RINGS_UPPER, names.LIP_RINGS_LOWER), *(((e.upper,), (e.lower,)) for e in EYES))
    for upper, lower in pairs:
        for ring in range(len(upper)):
            k = np.sin(np.pi * np.linspace(0, 1, len(upper[ring]))) * APART / (2 + ring)
            apart[list(upper[ring])], apart[list(lower[ring])] = k, -k
    return points[:468], normals(points, triangles)[:468], np.c_[points, apart][:468]


EYES = (names.LEFT_EYE, names.RIGHT_EYE)


def fitted(points, faces, skin: np.ndarray, seen: np.ndarray, eyes: list[Eye], public: Known) -> tuple:
    """MediaPipe's landmarks 0..467 on the head `points` (V,3), `faces` (F,3): `skin` (F,) bool, `seen` (F,) from VIEWS.

    -> triangle (468,) ids into `faces`, barycentric (468,3).
    """
    where, outward, kernel_at = template()
    known = public + landmarks_of_eyes(where, eyes)
    where = moved(where, known, public)
    if not len(public.ids):
        known += landmarks_of_profile(points, faces, skin, where, eyes)
    triangles = points[faces]
    middle = np.mean([e.centre for e in eyes], 0)
    front = (
        skin & seen & (triangles[..., 2].max(1) > middle[2] - 0.09) & (np.abs(triangles.mean(1) - middle)[:, 1] < 0.17)
    )
    candidates = np.flatnonzero(front)
    shown = triangles[candidates]
    facing = surface.unit_normals(shown)
    shift = np.zeros_like(where)
    for reach, noise in ROUNDS:
        now = where + shift
        agrees = outward @ facing.T > 0.4
        nearest, _, _ = surface.closest(now, shown, agrees)
        far = np.linalg.norm(nearest - now, axis=1)
        loose = np.repeat(noise * (1 + (far / (3 * noise)) ** 2)[:, None], 3, 1)  # what is far off is hardly believed
        target = nearest
        target[known.ids], loose[known.ids] = known.place, known.noise
        shift = smoothed(kernel_at, target - where, loose, reach)
    _, triangle, weights = surface.closest(where + shift, shown, outward @ facing.T > 0)
    return candidates[triangle], weights


def smoothed(at: np.ndarray, shift: np.ndarray, noise: np.ndarray, reach: float) -> np.ndarray:
    """Posterior mean of the displacements shift (n,3), seen with noise (n,3), at the same places `at` (n,4)."""
    d2 = surface.squared_distances(at, at)
    k = 0.010**2 * np.exp(-d2 / (2 * reach**2)) + 0.02**2 * np.exp(-d2 / (2 * 0.12**2)) + 0.02**2
    return np.stack([k @ np.linalg.solve(k + np.diag(noise[:, c] ** 2), shift[:, c]) for c in range(3)], 1)


def moved(where: np.ndarray, known: Known, public: Known) -> np.ndarray:
    """The template turned, scaled and moved onto what is known; by eyes alone only scaled and moved."""
    a, b = where[known.ids], known.place
    ca, cb = a.mean(0), b.mean(0)
    if not len(public.ids):
        scale = np.ptp(b[:, 0]) / np.ptp(a[:, 0])
        return (where - ca) * scale + cb
    u, s, vt = np.linalg.svd((b - cb).T @ (a - ca))
    d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    return (s * d).sum() / ((a - ca) ** 2).sum() * (where - ca) @ ((u * d) @ vt).T + cb


def landmarks_of_eyes(where: np.ndarray, eyes: list[Eye]) -> Known:
    """The lids' rims, from the openings that the model shows; the corners lie just beyond the eyeball."""
    out = NOTHING
    for e, lids in zip(eyes, EYES, strict=True):
        ids = np.array([*lids.upper[1:-1], *lids.lower[1:-1]])
        a, b = where[lids.upper[-1], 0], where[lids.upper[0], 0]
        corner = np.array([lids.upper[0], lids.upper[-1]])
        side = np.sign(where[corner[0], 0])
        ends = e.centre[0] + side * 1.05 * e.radius * np.array([1, -1])  # outer, inner
        x = ends[1] + (where[ids, 0] - a) / (b - a) * (ends[0] - ends[1])
        share = (x - e.x[0]) / (e.x[-1] - e.x[0])
        xy = on_rim(e, np.clip(share, 0, 1), np.isin(ids, lids.upper))
        z = e.centre[2] + np.sqrt(np.maximum((e.radius + 0.001) ** 2 - (x - e.centre[0]) ** 2, (0.5 * e.radius) ** 2))
        sure = np.where((share > 0.1) & (share < 0.9), 0.0006, 0.002)[:, None]
        low = np.array([np.interp(s * np.inf, e.x, (e.upper + e.lower) / 2) for s in (side, -side)])
        corners = np.c_[ends, low, np.full(2, e.centre[2] + 0.5 * e.radius)]
        out += Known(ids, np.c_[x, xy[:, 1], z], sure * (2, 1, 2))
        out += Known(corner, corners, np.tile([0.0015, 0.003, 0.006], (2, 1)))
    return out


def landmarks_of_profile(points, faces, skin, where, eyes) -> Known:
    """The tip of the nose, the chin and, where the skin ends behind the lips, the mouth."""
    used = points[np.unique(faces[skin])]
    middle = np.mean([e.centre for e in eyes], 0)
    scale = np.linalg.norm(eyes[0].centre - eyes[1].centre)
    line = used[(np.abs(used[:, 0] - middle[0]) < 0.06 * scale) & (used[:, 2] > middle[2])]
    profile = where[np.abs(where[:, 0]) < 0.06 * scale + abs(where[1, 0])]
    known = []
    for direction in ((0, 0, 1.0), (0, -0.8, 0.6), (0, -1.0, 0.25)):
        a, b = (p[(p @ direction).argmax()] for p in (profile, line))
        known.append((int(((where - a) ** 2).sum(1).argmin()), b, (0.0015, 0.003, 0.003)))
    ids, place, noise = (np.array(x) for x in zip(*known, strict=True))
    out = Known(ids, place, noise)
    loop = surface.mouth_loop(points, faces[skin], [e.centre for e in eyes])
    if loop is not None:
        p = points[loop]
        corners = np.array([names.LIPS_INNER_UPPER[-1], names.LIPS_INNER_UPPER[0]])
        ends = np.stack([p[p[:, 0].argmax()], p[p[:, 0].argmin()]])
        out += Known(corners, ends, np.tile([0.003, 0.003, 0.012], (2, 1)))
    return out
