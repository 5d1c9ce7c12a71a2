"""The open head's skin: the face template, a tube from its oval over skull and neck to the shoulders, and ears.

The skin is one sheet. On the texture it is a disc: the face in the middle, the tube's rings around it, so that it has
no seam; the disc's four corners are left to eyeballs, mouth and ears.
"""

from pathlib import Path

import numpy as np

from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.mesh import Mesh, grid_faces

HERE = Path(__file__).parent
CENTRE = np.array([0, 0.022, -0.076])  # of the skull, an ellipsoid
SKULL = np.array([0.077, 0.092, 0.096])  # its half axes
HUB = np.array([0, -0.055, -0.045])  # the tube's paths run on meridians about HUB, from the antipode of POLE, in the
POLE = np.array([0, -0.55, -0.835])  # face, to POLE, in the neck
COLUMNS = 36  # one for each point of the face's oval
# neck and bust: rings of ellipses; y and z of the centre, half width, half depth, how much further down the front is
NECK = [
    (-0.102, -0.088, 0.055, 0.060, 0.024),
    (-0.123, -0.093, 0.0545, 0.058, 0.024),
    (-0.143, -0.098, 0.056, 0.058, 0.024),
    (-0.162, -0.103, 0.063, 0.061, 0.024),
]
SHOULDERS = [
    (-0.174, -0.107, 0.090, 0.070, 0.018),
    (-0.188, -0.112, 0.130, 0.080, 0.012),
    (-0.206, -0.115, 0.168, 0.088, 0.006),
    (-0.242, -0.118, 0.194, 0.096, 0.000),
    (-0.320, -0.120, 0.205, 0.104, 0.000),
    (-0.460, -0.120, 0.208, 0.108, 0.000),
]
CAP_RINGS = 10  # between the face's oval and the neck
UV_FACE, UV_CAP, UV_NECK, UV_HEM = 0.235, 0.395, 0.435, 0.49  # radii on the texture


def face_template() -> tuple[np.ndarray, np.ndarray]:
    """-> points (510,3) in metres, the first 468 being MediaPipe's; triangles (F,3)."""
    points = np.loadtxt(HERE / "face_template.csv", delimiter=",") * 1e-5
    return points, np.loadtxt(HERE / "face_triangles.csv", delimiter=",", dtype=np.int64)


def skin() -> Mesh:
    """Face, skull, neck and shoulders, unrefined. The face's 510 vertices come first."""
    points, triangles = face_template()
    oval = points[names.FACE_OVAL]
    rings = [oval, *cap(oval), *(ring(*r) for r in NECK[1:]), *(ring(*r) for r in SHOULDERS)]
    tube = grid_faces(len(rings), COLUMNS, closed=True)[:, ::-1]
    number = np.concatenate([names.FACE_OVAL, len(points) + np.arange((len(rings) - 1) * COLUMNS)])
    every = np.concatenate([points, *rings[1:]])
    faces = np.concatenate([triangles, number[tube]])
    uv = skin_uv(points, len(rings))
    region = np.full(len(faces), "face", "U16")
    region[len(triangles) :] = tube_regions(every, number[tube], np.repeat(np.arange(len(rings) - 1), 2 * COLUMNS))
    lips = np.concatenate([*names.LIP_RINGS_UPPER, *names.LIP_RINGS_LOWER])
    region[: len(triangles)][np.isin(triangles, lips).all(1)] = "lips"
    ring_of = np.concatenate([np.zeros(len(points)), np.repeat(np.arange(1, len(rings)), COLUMNS)])
    return Mesh(every, faces, uv[faces], region, {"ring": ring_of})


def ring(y: float, z: float, width: float, depth: float, drop: float) -> np.ndarray:
    """(36,3) an ellipse, numbered as the face's oval: from the back, by way of the subject's right, to the front."""
    angle = np.linspace(0, 2 * np.pi, COLUMNS, endpoint=False)
    front = -np.cos(angle)
    return np.stack([-width * np.sin(angle), y - drop * front, z + depth * front], -1)


def cap(oval: np.ndarray) -> list[np.ndarray]:
    """Rings from the oval over the skull to the top of the neck (the last ring), along meridians about POLE."""
    neck = ring(*NECK[0])
    across = np.array([1.0, 0, 0])
    up = np.cross(POLE, across)

    def polar(p):  # -> distance from CENTRE, angle from POLE, angle about it
        d = p - HUB
        r = np.linalg.norm(d, axis=1)
        return r, np.arccos(d @ POLE / r), np.unwrap(np.arctan2(d @ across, d @ up))

    (r0, a0, b0), (r1, a1, b1) = polar(oval), polar(neck)
    b1 = b1 + 2 * np.pi * np.round((b0 - b1).mean() / (2 * np.pi))
    rings = []
    for t in np.linspace(0, 1, CAP_RINGS + 1)[1:]:
        a, b = a0 + t * (a1 - a0), b0 + t * (b1 - b0)
        d = np.cos(a)[:, None] * POLE + np.sin(a)[:, None] * (np.sin(b)[:, None] * across + np.cos(b)[:, None] * up)
        radius = ellipsoid_radius(d)
        d0, d1 = (oval - HUB) / r0[:, None], (neck - HUB) / r1[:, None]
        start, end = np.log(r0 / ellipsoid_radius(d0)), np.log(r1 / ellipsoid_radius(d1))
        radius = radius * np.exp(start * (1 - t) ** 3 + end * t**4)
        rings.append(HUB + radius[:, None] * d)
    return rings


def ellipsoid_radius(d: np.ndarray) -> np.ndarray:
    """Distance from HUB to the skull's surface in the unit directions d (n,3)."""
    d, start = d / SKULL, (HUB - CENTRE) / SKULL
    a, b, c = (d * d).sum(1), d @ start, start @ start - 1
    return (-b + np.sqrt(b * b - a * c)) / a


def skin_uv(points: np.ndarray, rings: int) -> np.ndarray:
    """(V,2): the face unwrapped about a point within the skull, the tube's rings around it."""
    d = points - [0, -0.01, -0.09]
    flat = np.stack([np.arctan2(d[:, 0], d[:, 2]), -np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2]))], -1)
    flat -= [0, (flat[10, 1] + flat[152, 1]) / 2]
    flat *= UV_FACE / np.abs(flat[names.FACE_OVAL]).max()
    oval = flat[names.FACE_OVAL]
    r0 = np.linalg.norm(oval, axis=1, keepdims=True)
    n_neck = len(NECK) - 1
    n_hem = rings - 1 - CAP_RINGS - n_neck
    radii = np.concatenate(
        [
            np.linspace(0, 1, CAP_RINGS + 1)[1:],
            1 + np.arange(1, n_neck + 1) / n_neck,
            2 + np.arange(1, n_hem + 1) / n_hem,
        ]
    )
    outer = []
    for t in radii:
        s = np.clip(t, 0, 1)
        radius = (1 - s) * r0 + s * np.interp(t, [1, 2, 3], [UV_CAP, UV_NECK, UV_HEM])
        outer.append(oval / r0 * radius)
    return np.concatenate([flat, *outer]) + 0.5


def tube_regions(points: np.ndarray, faces: np.ndarray, ring_number: np.ndarray) -> np.ndarray:
    """Scalp, face, neck or shoulders for each triangle of the tube."""
    middle = points[faces].mean(1)
    out = np.full(len(faces), "face", "U16")
    # the hairline: from the temples down in front of the ears, behind them down to the nape
    hairline = np.interp(middle[:, 2], [-0.16, -0.10, -0.085, -0.055, -0.04], [-0.085, -0.055, 0.0, 0.01, 0.03])
    out[middle[:, 1] > hairline] = "scalp"
    below = (middle[:, 1] < -0.035) & (middle[:, 2] < -0.08) & (out == "face")
    out[below] = "neck"
    out[(ring_number >= CAP_RINGS - 1) & (out != "scalp")] = "neck"
    out[ring_number >= CAP_RINGS + len(NECK) - 1] = "shoulders"
    return out


def ear(side: int) -> Mesh:
    """A flat shell with a hollow, leaning back and standing off the head; side +1 is the subject's left."""
    rows, columns = 9, 14
    lat = np.linspace(0.06, np.pi - 0.06, rows)[:, None]
    lon = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    # local axes: out of the head, up, to the back
    out, up, back = np.sin(lat) * np.cos(lon), np.cos(lat) + 0 * lon, np.sin(lat) * np.sin(lon)
    lobe = 1 - 0.35 * np.clip(-up, 0, 1)
    hollow = (out > 0) * np.exp(-((back - 0.05) ** 2 + (up * 0.8 - 0.1) ** 2) / 0.16)
    x, y, z = 0.0065 * out - 0.006 * hollow, 0.031 * up, 0.017 * back * lobe + 0.13 * 0.031 * up
    c, s = np.cos(0.45), np.sin(0.45)
    points = np.stack([c * x + s * z, y, s * x - c * z], -1).reshape(-1, 3) + [0.076, -0.012, -0.083]
    across, down = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows))
    uv = np.stack([across, down], -1).reshape(-1, 2) * 0.055 + ([0.875, 0.94] if side > 0 else [0.94, 0.94])
    faces = grid_faces(rows, columns, closed=True)
    corners = grid_faces(rows, columns + 1, closed=False)  # one column more: texture coordinates do not wrap round
    points[:, 0] *= side
    if side > 0:
        faces, corners = faces[:, ::-1], corners[:, ::-1]
    return Mesh(points, faces, uv[corners], np.full(len(faces), "ears", "U16"))
