"""Questions to a triangle mesh: what a ray meets first, which point is nearest, what can be seen from outside."""

import numpy as np

CELL = 0.004  # metres: side of the squares by which rays and triangles are sorted


def cast(origins: np.ndarray, view: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, ...]:
    """Parallel rays from origins (N,3) in direction view (3,), against triangles (F,3,3).

    -> the first hit of each: distance (N,), triangle (N,), barycentric (N,3); no hit: infinity and -1.
    """
    axes = frame(view)
    o, t = origins @ axes.T, triangles @ axes.T
    low, high = (np.floor(e / CELL).astype(int) for e in (t[..., :2].min(1), t[..., :2].max(1)))
    cell = np.floor(o[:, :2] / CELL).astype(int)
    distance, face, weights = np.full(len(o), np.inf), np.full(len(o), -1), np.zeros((len(o), 3))
    cells, which = np.unique(cell, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    for (x, y), rays in zip(cells, np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1]), strict=True):
        near = np.flatnonzero((low[:, 0] <= x) & (high[:, 0] >= x) & (low[:, 1] <= y) & (high[:, 1] >= y))
        if len(near):
            d, hit, w = _first(o[rays], t[near])
            distance[rays], face[rays], weights[rays] = d, np.where(hit >= 0, near[hit], -1), w
    return distance, face, weights


def _first(o: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rays along +z from o (N,3) against triangles t (F,3,3), all of them with all."""
    a, ab, ac = t[:, 0], t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    p = o[:, None] - a
    inverse = np.where(np.abs(area) > 1e-14, 1 / np.where(area == 0, 1, area), np.nan)
    v = (p[..., 0] * ac[:, 1] - p[..., 1] * ac[:, 0]) * inverse
    w = (ab[:, 0] * p[..., 1] - ab[:, 1] * p[..., 0]) * inverse
    depth = v * ab[:, 2] + w * ac[:, 2] - p[..., 2]
    edge = -1e-6
    depth = np.where((v >= edge) & (w >= edge) & (v + w <= 1 - edge) & (depth > 1e-6), depth, np.inf)
    rows, first = np.arange(len(o)), depth.argmin(1)
    met = np.isfinite(depth[rows, first])
    v, w = v[rows, first], w[rows, first]
    return depth[rows, first], np.where(met, first, -1), np.where(met[:, None], np.stack([1 - v - w, v, w], 1), 0)


def frame(view: np.ndarray) -> np.ndarray:
    """(3,3) rotation whose last row is the direction `view`."""
    w = view / np.linalg.norm(view)
    u = np.cross([0, 1, 0] if abs(w[1]) < 0.9 else [1, 0, 0], w)
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(w, u), w])


def closest(points: np.ndarray, triangles: np.ndarray, allowed: np.ndarray | None = None, candidates: int = 48):
    """points (N,3) -> nearest points (N,3) on triangles (F,3,3), triangle (N,), barycentric (N,3).

    Only the `candidates` triangles with the nearest centres are looked at. `allowed` (N,F) bool may forbid some.
    """
    centres = triangles.mean(1)
    d2 = squared_distances(points, centres)
    if allowed is not None:
        d2 = np.where(allowed, d2, np.inf)
    near = np.argpartition(d2, candidates, 1)[:, :candidates] if len(centres) > candidates else np.argsort(d2, 1)
    weights = barycentric_of_nearest(points[:, None], triangles[near])  # (N,C,3)
    place = (weights[..., None] * triangles[near]).sum(2)
    off = ((points[:, None] - place) ** 2).sum(-1)
    off[np.isinf(np.take_along_axis(d2, near, 1))] = np.inf
    best = np.round(off, 14).argmin(1)  # rounded: ties are decided alike on every machine
    rows = np.arange(len(points))
    return place[rows, best], near[rows, best], weights[rows, best]


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,D), (M,D) -> (N,M)."""
    middle = b.mean(0)
    a, b = a - middle, b - middle
    out = a @ (-2 * b.T)
    out += (a * a).sum(1)[:, None]
    out += (b * b).sum(1)
    return np.maximum(out, 0, out=out)


def barycentric_of_nearest(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points (...,3), triangles (...,3,3) -> barycentric coordinates (...,3) of the nearest point of each."""
    a, b, c = t[..., 0, :], t[..., 1, :], t[..., 2, :]
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], -1)
    choices = [np.where((inside >= 0).all(-1, keepdims=True), inside, np.nan)]
    for i, j in ((0, 1), (1, 2), (2, 0)):  # else the nearest point of one of the three edges
        s, e = t[..., i, :], t[..., j, :] - t[..., i, :]
        k = np.clip(((p - s) * e).sum(-1) / np.maximum((e * e).sum(-1), 1e-30), 0, 1)
        w3 = np.zeros(inside.shape)
        w3[..., i], w3[..., j] = 1 - k, k
        choices.append(w3)
    choices = np.stack(choices, -2)  # (...,4,3)
    off = (((choices[..., None] * t[..., None, :, :]).sum(-2) - p[..., None, :]) ** 2).sum(-1)
    best = np.nan_to_num(off, nan=np.inf).argmin(-1)
    return np.take_along_axis(choices, best[..., None, None], -2)[..., 0, :]


def unit_normals(triangles: np.ndarray) -> np.ndarray:
    """(F,3,3) -> (F,3)."""
    n = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-20)


def visible(triangles: np.ndarray, views: np.ndarray) -> np.ndarray:
    """(F,) bool: triangles that face a viewer in one of the directions views (K,3), and nothing is before them."""
    normal, centre = unit_normals(triangles), triangles.mean(1)
    seen = np.zeros(len(triangles), bool)
    for view in views / np.linalg.norm(views, axis=1, keepdims=True):
        ask = np.flatnonzero(~seen & (normal @ view > 0.05))
        start = centre[ask] + 1e-5 * normal[ask]
        distance, _, _ = cast(start, view, triangles)
        seen[ask[np.isinf(distance)]] = True
    return seen


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """The open edges of a mesh as loops of vertex ids, the longest first."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    there = {(a, b) for a, b in edges}
    after = {a: b for a, b in edges if (b, a) not in there}
    loops = []
    while after:
        loop = [next(iter(after))]
        while loop[-1] in after:
            loop.append(after.pop(loop[-1]))
        loops.append(np.array(loop[:-1]))
    return sorted(loops, key=lambda loop: (-len(loop), loop.min()))


def components(faces: np.ndarray, count: int) -> np.ndarray:
    """(V,) the smallest vertex id of the connected part that each vertex belongs to."""
    label = np.arange(count)
    while True:
        least = label[faces].min(1)
        new = label.copy()
        np.minimum.at(new, faces.ravel(), np.repeat(least, 3))
        new = new[new]
        if (new == label).all():
            return label
        label = new


def mouth_loop(points: np.ndarray, faces: np.ndarray, eyes: list[np.ndarray]) -> np.ndarray | None:
    """The loop where the skin (faces) ends behind the lips; None where it does not. `eyes`: the eyeballs' centres."""
    middle, apart = np.mean(eyes, 0), np.linalg.norm(eyes[0] - eyes[1])
    for loop in boundary_loops(faces):
        p = points[loop]
        down = middle[1] - p[:, 1].mean()
        if 0.7 * apart < down < 1.4 * apart and np.ptp(p[:, 0]) < 1.2 * apart and p[:, 2].mean() > middle[2]:
            return loop
    return None
