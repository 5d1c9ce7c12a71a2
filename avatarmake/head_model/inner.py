"""What lies behind lids and lips: eyeballs, the lids' inner walls, the mouth's cavity and the teeth."""

import numpy as np

from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.mesh import Mesh, grid_faces

EYE_RADIUS = 0.0125
LID = 0.0012  # clearance of lids over the eyeball; half closed, they are nearer: their ways are straight
IRIS_RADIUS = 0.006
RINGS = (0.25, 0.5, 0.75, 1.0, 1.15, 1.45, 1.9, 2.4, 3.0, 3.6)  # polar angle of the eyeball's rings, in irises
SEGMENTS = 16


def eye_centre(points: np.ndarray, eye: names.Eye) -> np.ndarray:
    """Centre of the eyeball on which the middle of both lids' rims rests (least squares)."""
    rim = points[[*eye.upper[2:-2], *eye.lower[2:-2]]]
    corners = points[[eye.upper[0], eye.upper[-1]]]
    centre = np.array([corners[:, 0].mean(), points[[eye.upper[4], eye.lower[4]], 1].mean(), rim[:, 2].mean() - 0.012])
    for _ in range(20):  # height and sideways position are the rim's own: only the depth is solved for
        d = rim - centre
        r = np.linalg.norm(d, axis=1)
        centre[2] += ((r - EYE_RADIUS - LID) * d[:, 2] / r).sum() / ((d[:, 2] / r) ** 2).sum()
    return centre


def seat_lids(points: np.ndarray, eye: names.Eye, centre: np.ndarray, ids: list[int]) -> None:
    """Push what lies within the eyeball out to its surface plus the lid's clearance, in place."""
    d = points[ids] - centre
    r = np.linalg.norm(d, axis=1, keepdims=True)
    points[ids] = centre + d * np.maximum(1, (EYE_RADIUS + LID) / r)


def eyeball(centre: np.ndarray, name: str, box: tuple[float, float]) -> Mesh:
    """A ball that looks along +z. Vertex 0 is the pupil's centre; ring 4 is the iris's rim (4 and 16 segments).

    The texture is its front, seen along z, in a box of 0.13 at `box`.
    """
    iris = np.arcsin(IRIS_RADIUS / EYE_RADIUS)
    angle = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    polar = np.array(RINGS) * iris
    x, y = np.cos(angle), np.sin(angle)
    rings = [np.stack([np.sin(p) * x, np.sin(p) * y, np.full(SEGMENTS, np.cos(p))], -1) for p in polar]
    unit = np.concatenate([[[0, 0, 1.0]], *rings, [[0, 0, -1.0]]])
    radius = np.concatenate([[0], np.repeat(polar / polar[-1], SEGMENTS), [1]])
    around = np.concatenate([[0], np.tile(angle, len(RINGS)), [0]])
    uv = np.stack([np.cos(around), -np.sin(around)], -1) * radius[:, None] * 0.06 + 0.065 + np.array(box)
    faces = np.concatenate([fan(0, 1), grid_faces(len(RINGS), SEGMENTS, closed=True)[:, ::-1] + 1,
                            fan(len(unit) - 1, len(unit) - 1 - SEGMENTS)[:, ::-1]])  # fmt: skip
    region = np.full(len(faces), name, "U16")
    return Mesh(centre + EYE_RADIUS * unit, faces, uv[faces], region)


def fan(middle: int, first: int) -> np.ndarray:
    k = np.arange(SEGMENTS)
    return np.stack([np.full(SEGMENTS, middle), first + k, first + (k + 1) % SEGMENTS], -1)


def iris_vertices() -> list[int]:
    """Of an eyeball, in the landmarks' order: centre, subject's left, up, subject's right, down."""
    ring = 1 + RINGS.index(1.0) * SEGMENTS
    return [0, ring, ring + SEGMENTS // 4, ring + SEGMENTS // 2, ring + 3 * SEGMENTS // 4]


def lid_walls(skin: Mesh, eye: names.Eye, centre: np.ndarray) -> np.ndarray:
    """From the lids' rim inwards, to below the eyeball's surface: no gap between lid and ball. Extends `skin`.

    -> ids of the inner ring, in the order of `eye.rim`.
    """
    rim = np.array(eye.rim)
    d = skin.points[rim] - centre
    r = np.linalg.norm(d, axis=1, keepdims=True)
    inner = centre + d / r * np.minimum(0.8 * r, EYE_RADIUS - 0.0015)
    rim_uv = vertex_uv(skin, rim)
    inner_uv = rim_uv + 0.3 * (rim_uv.mean(0) - rim_uv)
    return extend(skin, [rim_uv, inner_uv], rim, [inner], "face")[1]


def mouth_cavity(skin: Mesh) -> list[np.ndarray]:
    """A bag behind the lips, its front shared with their rim. Extends `skin`; -> the ids of its rings, rim first."""
    rim = np.array(names.LIPS_INNER)
    p = skin.points[rim]
    n = len(names.LIPS_INNER_UPPER)
    side = np.sin(np.pi * np.r_[np.linspace(0, 1, n), np.linspace(1, 0, n)[1:-1]])
    side[n:] *= -1  # +1 the middle of the upper lip, -1 of the lower, 0 the corners
    rings = []
    for back, height, narrow, flat in ((0.004, 0.001, 0.98, 0), (0.007, 0.013, 0.97, 0), (0.022, 0.018, 0.95, 0.4),
                                       (0.045, 0.012, 0.7, 0.9)):  # fmt: skip
        q = p.copy()
        q[:, 0] *= narrow
        q[:, 1] += height * np.sign(side) * np.abs(side) ** 0.6
        q[:, 2] = (1 - flat) * p[:, 2] + flat * p[:, 2].mean() - back
        rings.append(q)
    rings.append(np.repeat(rings[-1].mean(0)[None], len(rim), 0) + 0.03 * (rings[-1] - rings[-1].mean(0)))
    angle = np.linspace(0, 2 * np.pi, len(rim), endpoint=False)
    circle = np.stack([-np.cos(angle), -np.sin(angle)], -1)
    uvs = [0.065 * (1 - 0.17 * k) * circle + [0.07, 0.93] for k in range(6)]
    return extend(skin, uvs, rim, rings, "mouth")


def extend(skin: Mesh, uvs: list, rim: np.ndarray, rings: list, region: str) -> list[np.ndarray]:
    """Append rings behind a rim of the skin; their texture coordinates are `uvs`, the rim's first. -> ids of all."""
    n, first = len(rim), len(skin.points)
    ids = np.concatenate([rim, first + np.arange(n * len(rings))])
    corners = grid_faces(len(rings) + 1, n, closed=True)
    faces = ids[corners]
    edge = {tuple(e) for f in skin.faces.tolist() for e in (f[:2], f[1:], (f[2], f[0]))}
    if (rim[0], rim[1]) in edge:  # neighbours must run through the shared edge in opposite directions
        corners, faces = corners[:, ::-1], faces[:, ::-1]
    skin.points = np.concatenate([skin.points, *rings])
    skin.faces = np.concatenate([skin.faces, faces])
    skin.uv = np.concatenate([skin.uv, np.concatenate(uvs)[corners]])
    skin.region = np.concatenate([skin.region, np.full(len(faces), region, "U16")])
    added = {name: np.zeros((n * len(rings), *v.shape[1:])) for name, v in skin.values.items()}
    skin.values = {name: np.concatenate([v, added[name]]) for name, v in skin.values.items()}
    return list(ids.reshape(-1, n))


def vertex_uv(mesh: Mesh, ids: np.ndarray) -> np.ndarray:
    """Texture coordinates of vertices that lie on no seam."""
    uv = np.zeros((len(mesh.points), 2))
    uv[mesh.faces.ravel()] = mesh.uv.reshape(-1, 2)
    return uv[ids]


def teeth(points: np.ndarray, upper: bool) -> Mesh:
    """A strip of teeth along an arch behind the lips, gum included, and the biting edge turned back: (4, 17)."""
    lip = points[13]
    columns = 17
    x = np.linspace(-0.024, 0.024, columns)
    z = lip[2] - (0.0065 if upper else 0.0085) - 19 * x**2 * (1 if upper else 1.1)
    edge = lip[1] - (0.0035 if upper else 0.0030)  # they bite over the lower ones
    sign = 1 if upper else -1
    heights, backs = (0.0145, 0.0105, 0.0005, 0.0), (0.002, 0.0, 0.0, 0.005)
    rows = [np.stack([x, np.full(columns, edge + sign * h), z - b], -1) for h, b in zip(heights, backs, strict=True)]
    faces = grid_faces(len(rows), columns, closed=False)
    faces = faces[:, ::-1] if upper else faces
    u = np.linspace(0, 0.12, columns) + 0.875
    v = (0.872 if upper else 0.905) + np.array([0, 0.008, 0.024, 0.030])
    uv = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
    return Mesh(np.concatenate(rows), faces, uv[faces], np.full(len(faces), "mouth", "U16"))
