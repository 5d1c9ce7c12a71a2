"""How the lids close: the displacement of the skin around an eye when its lids meet over the eyeball."""

import numpy as np

from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.inner import EYE_RADIUS, LID
from avatarmake.head_model.mesh import Mesh

MEET = 0.18  # where the lids meet, as a share of the way from the lower rim to the upper: the upper lid does the most
RING_UPPER, RING_LOWER = 0.22, 0.0  # how much of the rim's way the rings of landmarks around the lids follow


def closing(skin: Mesh, eye: names.Eye, centre: np.ndarray, wall: np.ndarray) -> np.ndarray:
    """(V,3) displacement that closes this eye; linear in between. `wall`: ids of the lids' inner ring, as `eye.rim`.

    Lids slide over a ball: every vertex of theirs ends at its own distance from the eyeball's centre, never less
    than the ball's radius plus the lid's clearance.
    """
    p = skin.points
    out = np.zeros_like(p)
    upper, lower = np.array(eye.upper), np.array(eye.lower)
    target = MEET * p[upper] + (1 - MEET) * p[lower]
    length = MEET * radius(p[upper], centre) + (1 - MEET) * radius(p[lower], centre)
    target = at_radius(target, centre, np.maximum(length, EYE_RADIUS + LID))
    for rim, ring, follow in ((upper, eye.upper_ring, RING_UPPER), (lower, eye.lower_ring, RING_LOWER)):
        move = target - p[rim]
        out[rim] = move
        out[list(ring)] = follow * move
        for k in range(1, len(rim) - 1):  # between rim and ring: an arc over the ball
            column = between(skin, rim[k], ring[k])
            share = (1 + np.arange(len(column))) / (len(column) + 1)
            start, end = p[rim[k]] + out[rim[k]], p[ring[k]] + out[ring[k]]
            arc = (1 - share)[:, None] * start + share[:, None] * end
            r = (1 - share) * radius(start, centre) + share * radius(end, centre)
            out[column] = at_radius(arc, centre, np.maximum(r, EYE_RADIUS + LID)) - p[column]
    out[wall] = out[eye.rim] * (radius(p[wall], centre) / radius(p[eye.rim], centre))[:, None]
    return out


def clear(points: np.ndarray, closing: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(V,3) `closing` after refinement: new vertices between two old ones must not end within the eyeball either."""
    end = points + closing
    moves = np.linalg.norm(closing, axis=1) > 1e-4
    lid = moves & (radius(points, centre) > EYE_RADIUS) & (radius(end, centre) < EYE_RADIUS + LID)
    out = closing.copy()
    out[lid] = at_radius(end[lid], centre, np.full(lid.sum(), EYE_RADIUS + LID)) - points[lid]
    return out


def radius(p: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.linalg.norm(p - centre, axis=-1)


def at_radius(p: np.ndarray, centre: np.ndarray, length: np.ndarray) -> np.ndarray:
    d = p - centre
    return centre + d * (length / np.linalg.norm(d, axis=-1))[..., None]


def between(skin: Mesh, rim: int, ring: int) -> list[int]:
    """The template's own vertices (468...509) on the straight way from a rim's landmark to its ring's, in order."""
    p = skin.points
    d = p[ring] - p[rim]
    extra = np.arange(468, 510)
    t = (p[extra] - p[rim]) @ d / (d @ d)
    off = np.linalg.norm(p[extra] - p[rim] - t[:, None] * d, axis=1)
    hit = np.flatnonzero((off < 0.002) & (t > 0.05) & (t < 0.95))
    return list(extra[hit[np.argsort(t[hit])]])
