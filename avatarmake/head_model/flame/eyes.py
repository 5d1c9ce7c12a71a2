"""What FLAME's geometry says about an eye: where its lids' rims are, where its iris is, how its lids close."""

from dataclasses import dataclass

import numpy as np

from avatarmake.head_model.flame import surface
from avatarmake.head_model.inner import EYE_RADIUS, IRIS_RADIUS, LID
from avatarmake.head_model.lids import MEET

STEP = 0.00025  # metres between the rays by which an eye's opening is found
CREASE = 0.009  # metres from the rim at which the skin no longer follows a closing lid


@dataclass(frozen=True)
class Eye:
    """`centre` (3,), `radius` of the eyeball; its opening as seen from the front: at `x` (K,), ascending, the lids'
    rims are at `lower` and `upper` (K,). Everything in the model's own metres."""

    centre: np.ndarray
    radius: float
    x: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def eye(points: np.ndarray, faces: np.ndarray, ball: np.ndarray) -> Eye | None:
    """The eye whose eyeball has the vertices `ball` (V,) bool; None where no opening is to be seen from the front."""
    p = points[ball]
    # the sphere that fits best: |p|^2 = 2 p c + (r^2 - |c|^2)
    solution = np.linalg.lstsq(np.c_[2 * p, np.ones(len(p))], (p**2).sum(1), rcond=None)[0]
    centre = solution[:3]
    radius = float(np.sqrt(solution[3] + centre @ centre))
    across, up = np.arange(-20, 20.01, STEP * 1e3) * 1e-3, np.arange(-12, 12.01, STEP * 1e3) * 1e-3
    gx, gy = np.meshgrid(across, up)
    triangles = points[faces]
    near = (np.abs(triangles.mean(1) - centre) < (0.03, 0.025, 0.04)).all(1)
    origins = centre + np.stack([gx.ravel(), gy.ravel(), np.full(gx.size, 0.1)], -1)
    _, hit, _ = surface.cast(origins, np.array([0, 0, -1.0]), triangles[near])
    on_ball = np.where(hit >= 0, ball[faces[near][hit]].all(1), False).reshape(gx.shape)
    open_ = on_ball.sum(0) >= 3
    if open_.sum() < 0.008 / STEP:
        return None
    k = np.flatnonzero(open_)
    lower = np.array([up[on_ball[:, i]].min() for i in k]) - STEP / 2
    upper = np.array([up[on_ball[:, i]].max() for i in k]) + STEP / 2
    return Eye(centre, radius, centre[0] + across[k], centre[1] + smooth(lower), centre[1] + smooth(upper))


def smooth(y: np.ndarray, reach: int = 3) -> np.ndarray:
    padded = np.pad(y, reach, mode="edge")
    return np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def iris(e: Eye) -> np.ndarray:
    """(5,3) centre of the iris, then the subject's left, up, right, down of its rim: MediaPipe's order."""
    ring = np.array([(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1)]) * IRIS_RADIUS / EYE_RADIUS
    forward = np.sqrt(1 - (ring**2).sum(1))
    return e.centre + e.radius * np.c_[ring, forward]


def on_rim(e: Eye, share: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """(n,2) x and y on the rims: `share` (n,) of the way from the opening's smallest x to its largest."""
    x = e.x[0] + share * (e.x[-1] - e.x[0])
    return np.stack([x, np.where(upper, np.interp(x, e.x, e.upper), np.interp(x, e.x, e.lower))], -1)


def closing(points: np.ndarray, skin: np.ndarray, e: Eye) -> np.ndarray:
    """(V,3) displacement that closes this eye; zero off the vertices `skin` (V,) bool.

    Lids turn about the eyeball's centre on an axis across the face, each rim until they meet, the skin beyond it by
    less, down to nothing at the crease. Heights are angles seen from the centre; distances to it are kept, and are
    never less than the ball's radius plus the lid's clearance.
    """
    d = points - e.centre
    tall = np.hypot(d[:, 1], d[:, 2])
    angle = np.arctan2(d[:, 1], d[:, 2])
    upper, lower = rim_angles(e, points[:, 0])
    meet = MEET * upper + (1 - MEET) * lower
    width = e.x[-1] - e.x[0]
    beyond = np.maximum(np.maximum(e.x[0] - points[:, 0], points[:, 0] - e.x[-1]), 0)
    inwards = fade(beyond / (0.12 * width)) * fade((e.radius * 0.35 - d[:, 2]) / (0.5 * e.radius))
    near = fade((np.linalg.norm(d, axis=1) - 1.25 * e.radius) / (0.45 * e.radius))
    middle = (upper + lower) / 2
    off = np.where(angle > middle, angle - upper, lower - angle) * e.radius
    follow = fade(off / CREASE) * inwards * near * skin
    turn = np.where(angle > middle, meet - upper, meet - lower) * follow
    length = np.where(follow > 0.02, np.maximum(tall, reach(e, points[:, 0])), tall)
    end = np.stack([d[:, 0], np.sin(angle + turn) * length, np.cos(angle + turn) * length], -1)
    moved = np.where((follow > 1e-3)[:, None], end - d, 0)
    return moved * np.minimum(follow / 0.1, 1)[:, None]


def rim_angles(e: Eye, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights of the upper and the lower rim at x (n,), as angles; beyond the corners, those of the corner.

    The opening ends where the lids come out of the ball, hence at its radius.
    """
    r = np.sqrt(np.maximum(e.radius**2 - (np.clip(x, e.x[0], e.x[-1]) - e.centre[0]) ** 2, 1e-8))
    up, low = (np.interp(x, e.x, y) - e.centre[1] for y in (e.upper, e.lower))
    return np.arcsin(np.clip(up / r, -0.99, 0.99)), np.arcsin(np.clip(low / r, -0.99, 0.99))


def reach(e: Eye, x: np.ndarray) -> np.ndarray:
    """How far from the axis a lid must stay at x (n,), to clear the ball."""
    return np.sqrt(np.maximum((e.radius + LID / 2) ** 2 - (x - e.centre[0]) ** 2, 0))


def fade(x: np.ndarray) -> np.ndarray:
    """1 for x <= 0, 0 for x >= 1, smooth between."""
    x = np.clip(x, 0, 1)
    return 1 - x * x * (3 - 2 * x)
