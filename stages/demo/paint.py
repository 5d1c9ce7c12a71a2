"""What no portrait shows, painted: pores, strands, lids, cloth, eyes, teeth. All on the atlas, colours 0...255."""

import numpy as np

from avatarmake.head_model import inner
from avatarmake.head_model import landmark_names as names

LID_TINT, LASH, WALL = np.array([0.98, 0.94, 0.93]), np.array([52.0, 36, 31]), np.array([118.0, 72, 66])
NOSTRIL, COLLAR = np.array([86.0, 48, 42]), 0.4475  # the collar's outer radius on the atlas


def shrunk(a: np.ndarray) -> np.ndarray:
    return (a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2]) / 4


def grown(a: np.ndarray) -> np.ndarray:
    """Twice the size, linear in between."""
    for axis in (0, 1):
        before, after = (np.concatenate(parts, axis) for parts in edge_shifts(a, axis))
        a = np.stack([0.75 * a + 0.25 * before, 0.75 * a + 0.25 * after], axis + 1)
        a = a.reshape(*a.shape[:axis], a.shape[axis] * 2, *a.shape[axis + 2 :])
    return a


def edge_shifts(a: np.ndarray, axis: int):
    first, last = a.take([0], axis), a.take([-1], axis)
    rest, start = a.take(range(1, a.shape[axis]), axis), a.take(range(a.shape[axis] - 1), axis)
    return (first, start), (rest, last)


def spread(colour: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(T,T,3), (T,T) weights -> colours everywhere: push-pull over a pyramid (Gortler et al., SIGGRAPH 1996)."""
    pyramid = [np.concatenate([colour * known[..., None], known[..., None]], -1)]
    while pyramid[-1].shape[0] > 1:
        pyramid.append(np.minimum(shrunk(pyramid[-1]) * 2, 1e9))
    out = pyramid[-1][..., :3] / np.maximum(pyramid[-1][..., 3:], 1e-9)
    for level in reversed(pyramid[:-1]):
        weight = np.clip(level[..., 3:], 0, 1)
        here = level[..., :3] / np.maximum(level[..., 3:], 1e-9)
        out = weight * here + (1 - weight) * grown(out)
    return out


def noise(rng: np.random.Generator, size: int, rows: int, columns: int) -> np.ndarray:
    """(size,size) smooth noise with so many cells, standard deviation about 1."""
    grid = rng.standard_normal((rows + 3, columns + 3))
    y, x = np.linspace(0, rows, size, endpoint=False), np.linspace(0, columns, size, endpoint=False)
    i, j = y.astype(int), x.astype(int)
    s, t = (y - i)[:, None], (x - j)[None]
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    corner = grid[i][:, j], grid[i][:, j + 1], grid[i + 1][:, j], grid[i + 1][:, j + 1]
    return 1.5 * ((corner[0] * (1 - t) + corner[1] * t) * (1 - s) + (corner[2] * (1 - t) + corner[3] * t) * s)


def pores(rng: np.random.Generator, size: int) -> np.ndarray:
    return 0.012 * noise(rng, size, 200, 200) + 0.018 * noise(rng, size, 40, 40)


def strands(rng: np.random.Generator, size: int) -> np.ndarray:
    """Noise drawn out along rays from the atlas's middle, the way the hair falls."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    turn = (np.arctan2(y, x) / (2 * np.pi) + 0.5 + 0.012 * np.sin(30 * np.hypot(x, y))) % 1
    out = np.clip(np.hypot(x, y) / 0.75, 0, 0.999)
    total = 0
    for rays, rings, strength in ((160, 14, 0.10), (420, 26, 0.13), (60, 6, 0.08)):
        flat = noise(rng, size, rings, rays)
        flat[:, : size // 32] = flat[:, ::-1][:, : size // 32]
        total = total + strength * flat[(out * size).astype(int), (turn * (size - 1)).astype(int)]
    return total


def lids(out: np.ndarray, uv: np.ndarray, skin: np.ndarray) -> None:
    """Skin on the lids instead of the open eyes that the portrait shows there, and lashes along the rims. In place.

    uv (V,2): texture coordinates of the landmarks; skin (T,T): the face's texels.
    """
    size = len(out)
    strips, drawn, walls = np.zeros((size, size), np.float32), [], []
    for eye in (names.LEFT_EYE, names.RIGHT_EYE):
        middle = uv[eye.ring].mean(0)
        box, at = window(size, middle - 0.06, middle + 0.06)
        rim, ring = inside(at, uv[eye.rim]), inside(at, uv[eye.ring])
        strip = skin[box] & ring & ~rim
        for upper in (True, False):
            rims, rings = (eye.upper, eye.lower), (eye.upper_ring, eye.lower_ring)
            own, other = (0, 1) if upper else (1, 0)
            near, out_there = distance(at, uv[list(rims[own])]), distance(at, uv[list(rings[own])])
            part = strip & (near <= distance(at, uv[list(rims[other])]))
            share = out_there / np.maximum(near + out_there, 1e-9)  # 1 at the rim, 0 at the ring
            strips[box] = np.maximum(strips[box], part * smooth(share, 0.1, 0.35))
            drawn.append((box, part, share, upper))
        walls.append((box, skin[box] & rim))
    fill = spread(out, (skin & (strips < 0.02)).astype(np.float32))
    out[:] = strips[..., None] * fill * LID_TINT + (1 - strips[..., None]) * out
    for box, part, share, upper in drawn:
        lash = part * smooth(share, *((0.84, 0.96) if upper else (0.93, 1.0))) * (0.92 if upper else 0.55)
        out[box] = lash[..., None] * LASH + (1 - lash[..., None]) * out[box]
    for box, wall in walls:
        out[box][wall] = WALL


def inside(at: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether the points at (...,2) lie in the polygon (n,2): even-odd rule."""
    odd = np.zeros(at.shape[:-1], bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        crosses = (at[..., 1] < y0) != (at[..., 1] < y1)
        odd ^= crosses & (at[..., 0] < x0 + (at[..., 1] - y0) * (x1 - x0) / np.where(y1 == y0, 1, y1 - y0))
    return odd


def distance(at: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance of the points at (...,2) from the polyline (n,2)."""
    best = np.full(at.shape[:-1], np.inf)
    for a, b in zip(line[:-1], line[1:], strict=True):
        d = b - a
        t = np.clip(((at - a) @ d) / max(d @ d, 1e-12), 0, 1)
        best = np.minimum(best, np.linalg.norm(at - a - t[..., None] * d, axis=-1))
    return best


def chin_shadow(out: np.ndarray, p: np.ndarray, where: np.ndarray) -> None:
    """The neck is darker below the jaw. p (T,T,3): the neutral head under each texel; where (T,T) 0...1. In place."""
    below = smooth(p[..., 1], -0.075, -0.105) * (0.35 + 0.65 * smooth(p[..., 1], -0.175, -0.115))
    out *= 1 - 0.36 * (where * below * smooth(p[..., 2], -0.16, -0.06))[..., None] * [0.9, 1, 1.05]


def smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def nostrils(out: np.ndarray, uv: np.ndarray) -> None:
    """Dark hollows under the nose, which the portrait sees at too flat an angle. uv: of the landmarks. In place."""
    for ring in ((79, 166, 60, 20, 238, 239, 241), (309, 392, 290, 250, 458, 459, 461)):
        middle, wide = uv[list(ring)].mean(0), np.maximum(uv[list(ring)].std(0), 0.002)
        box, at = window(len(out), middle - 0.03, middle + 0.03)
        hollow = 0.75 * np.exp(-(((at - middle) / wide) ** 2).sum(-1, keepdims=True))
        out[box] = hollow * NOSTRIL + (1 - hollow) * out[box]


def window(size: int, low, high) -> tuple[tuple[slice, slice], np.ndarray]:
    """The texels between two texture coordinates: their slices, and the coordinates (h,w,2) of their middles."""
    (x0, y0), (x1, y1) = ((int(c * size) for c in corner) for corner in (low, high))
    y, x = (np.mgrid[y0:y1, x0:x1] + 0.5) / size
    return (slice(y0, y1), slice(x0, x1)), np.stack([x, y], -1)


def cloth(out: np.ndarray, where: np.ndarray, rng: np.random.Generator) -> None:
    """An orange suit with folds and a dark collar. In place."""
    size = len(out)
    y, x = (np.mgrid[:size, :size] + 0.5) / size - 0.5
    folds = 1 + (0.07 * noise(rng, size, 26, 26) + 0.03 * noise(rng, size, 90, 90))[..., None]
    collar = (np.hypot(x, y) < COLLAR)[..., None]
    out[where] = (np.where(collar, [46, 44, 56], [206, 84, 38]) * folds)[where]


def eyes(out: np.ndarray) -> None:
    """Sclera, iris and pupil in the two boxes of the eyeballs. In place."""
    for corner in ((0.865, 0.005), (0.005, 0.005)):
        box, at = window(len(out), corner, np.add(corner, 0.1305))
        x, y = np.moveaxis(at - corner - 0.065, -1, 0)
        r = np.hypot(x, y) / 0.06 * inner.RINGS[-1]  # in irises: the rings are even in angle
        turn = np.arctan2(y, x)
        ball = np.array([222, 214, 208]) * (1 - 0.10 * np.clip(r - 1, 0, 2))[..., None]
        rays = 0.85 + 0.25 * np.sin(23 * turn) * np.sin(9 * turn + 2) + 0.25 * (1 - r)
        iris = np.array([96, 62, 38]) * (rays * (1 - 0.55 * smooth(r, 0.75, 1.0)))[..., None]
        pupil, edge = (1 - smooth(r, 0.36, 0.46))[..., None], smooth(r, 0.92, 1.0)[..., None]
        whole = ((1 - edge) * iris + edge * ball) * (1 - pupil) + pupil * [14, 11, 10]
        glint = np.exp(-(((x + 0.006) ** 2 + (y + 0.007) ** 2) / 0.0000075))[..., None]
        out[box] = whole * (1 - glint) + glint * 245


def mouth(out: np.ndarray) -> None:
    """A dark red cavity, gums and teeth, in their boxes. In place."""
    box, at = window(len(out), (0, 0.86), (0.14, 1))
    depth = 1 - np.hypot(*np.moveaxis(at - [0.07, 0.93], -1, 0)) / 0.065
    out[box] = np.array([150, 72, 66]) * (1 - smooth(depth, 0, 0.45))[..., None] + [44, 16, 16]
    for top in (0.872, 0.905):
        box, at = window(len(out), (0.873, top - 0.001), (0.997, top + 0.0315))
        u, v = np.abs((at[..., 0] - 0.875) / 0.06 - 1), (at[..., 1] - top) / 0.030
        gap = np.abs(np.sin(np.pi * 6 * u**1.15))  # teeth are wider in the middle of the arch
        white = np.array([226, 218, 200]) * ((0.72 + 0.28 * smooth(gap, 0.0, 0.35)) * (1 - 0.25 * u**2))[..., None]
        gum = smooth(v, 0.34, 0.24)[..., None]
        out[box] = gum * [176, 100, 98] + (1 - gum) * white


def bled(out: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Colours carried beyond the borders of the charts, for the sake of bilinear sampling."""
    return np.where(covered[..., None], out, spread(out, covered.astype(np.float32)))
