"""Makes `face_template.csv` and `face_triangles.csv`, from which the open head's face is built.

    python -m avatarmake.head_model.face_template        (needs mediapipe, opencv, scikit-image, scipy, matplotlib)

The face mesh detector looks at scikit-image's astronaut (a NASA portrait in the public domain), at its mirror image and
at turned and scaled copies. The average of what it finds, made symmetric and with the smile taken back, is a face of
our own: metres, x to the subject's left, y up, z out of the face, the outer eye corners 0.09 m apart, origin between
them. The triangles are a Delaunay triangulation of the unwrapped face, with holes for eyes and mouth.
"""

from pathlib import Path

import numpy as np

from avatarmake.head_model import landmark_names as names

HERE = Path(__file__).parent
OUTER_EYE_DISTANCE = 0.09


def detections(angles=(-12, -6, 0, 6, 12), scales=(2.0, 3.0)) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of turned and scaled copies, turned back: (n, 468, 3) of the portrait, (n, 468, 3) of its mirror."""
    import cv2
    import mediapipe
    from skimage import data

    portrait = data.astronaut()[0:260, 90:350]
    found = ([], [])
    with mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        for which, image in enumerate((portrait, np.ascontiguousarray(portrait[:, ::-1]))):
            for angle in angles:
                for scale in scales:
                    side = int(260 * scale)
                    turn = cv2.getRotationMatrix2D((130, 130), angle, scale)
                    turn[:, 2] += side / 2 - 130
                    seen = mesh.process(cv2.warpAffine(image, turn, (side, side), flags=cv2.INTER_CUBIC))
                    if not seen.multi_face_landmarks:
                        continue
                    p = np.array([(q.x, q.y, q.z) for q in seen.multi_face_landmarks[0].landmark])[:468] * side
                    back = (p[:, :2] - turn[:, 2]) @ np.linalg.inv(turn[:, :2]).T
                    found[which].append(np.c_[back, p[:, 2] / scale] * [1, -1, -1])
    return np.array(found[0]), np.array(found[1])


def align(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`a` moved, turned and scaled onto `b` (Umeyama, 1991)."""
    ca, cb = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((b - cb).T @ (a - ca))
    d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    scale = (s * d).sum() / ((a - ca) ** 2).sum()
    return scale * (a - ca) @ ((u * d) @ vt).T + cb


def symmetric_average(faces: np.ndarray, mirrored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> (468,3) symmetric about x = 0, and mirror (468,): the number of each landmark's partner."""
    from scipy.optimize import linear_sum_assignment

    face, other = faces.mean(0), mirrored.mean(0) * [-1, 1, 1]
    other += face.mean(0) - other.mean(0)  # landmark i of the mirror image lies where i's partner is
    mirror = linear_sum_assignment(((face[:, None] - other[None]) ** 2).sum(-1))[1]
    assert (mirror[mirror] == np.arange(468)).all()
    every = np.concatenate([faces, mirrored])
    mean = face
    for _ in range(10):
        mean = np.mean([align(f, mean) for f in every], 0)
        flipped = align(mean[mirror] * [-1, 1, 1], mean)
        mean = (mean + flipped) / 2
    # the plane of symmetry becomes x = 0: its normal is the mean direction between partners
    between = mean - mean[mirror]
    normal = (between * np.sign(between[:, :1])).sum(0)
    x = normal / np.linalg.norm(normal)
    y = np.array([0, 1, 0]) - x[1] * x
    y /= np.linalg.norm(y)
    mean = (mean - mean.mean(0)) @ np.stack([x, y, np.cross(x, y)]).T
    mean = (mean + mean[mirror] * [-1, 1, 1]) / 2
    return mean, mirror


def upright(p: np.ndarray) -> np.ndarray:
    """Metres, origin between the outer eye corners, forehead and chin equally far out."""
    p = p * OUTER_EYE_DISTANCE / np.linalg.norm(p[33] - p[263])
    p = p - (p[33] + p[263]) / 2
    down = p[152] - p[10]
    pitch = np.arctan2(down[2], -down[1]) - 0.015
    c, s = np.cos(pitch), np.sin(pitch)
    return p @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T


def without_smile(p: np.ndarray) -> np.ndarray:
    """Close the lips, bring their corners in, down and forward, and let the cheeks and the chin follow."""
    p = p.copy()
    upper, lower = np.array(names.LIPS_INNER_UPPER), np.array(names.LIPS_INNER_LOWER)
    gap = np.linalg.norm(p[13] - p[14])
    below = np.zeros(468)
    below[lower_face(p)] = 1
    handles = {61: (0.0065, -0.006, 0.003), 291: (-0.0065, -0.006, 0.003), 13: (0, -0.35 * gap, 0.0005),
               14: (0, 0.55 * gap, 0.0005), 152: (0, 0.0025, 0), 205: (0.0, -0.0030, -0.001),
               425: (0.0, -0.0030, -0.001), 4: (0, 0, 0), 33: (0, 0, 0), 263: (0, 0, 0), 2: (0, -0.0004, 0),
               98: (0.001, -0.001, 0), 327: (-0.001, -0.001, 0)}  # fmt: skip
    where = np.c_[p, below * 0.03]
    where[[61, 291, 78, 308], 3] = 0.015
    ids, moves = np.array(list(handles)), np.array(list(handles.values()))

    def kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 0.022**2))

    p += kernel(where, where[ids]) @ np.linalg.solve(kernel(where[ids], where[ids]), moves)
    middle = (p[upper] + p[lower]) / 2
    open_ = np.sin(np.pi * np.linspace(0, 1, len(upper)))[:, None] * [0, 0.0003, 0]
    # the lips' flesh follows its rim: rings further out by less
    for shift, ring_ids in ((middle + open_ - p[upper], names.LIP_RINGS_UPPER),
                            (middle - open_ - p[lower], names.LIP_RINGS_LOWER)):  # fmt: skip
        rim = ring_ids[0]
        before = p[list(rim)].copy()
        for ring, share in zip(ring_ids, np.linspace(1, 0.35, len(ring_ids)), strict=True):
            p[list(ring)] += share * shift
        p[list(rim)] = before + shift
    return p


def lower_face(p: np.ndarray) -> np.ndarray:
    """Ids of the landmarks below the line between the lips."""
    line = np.array(names.LIPS_INNER_UPPER)
    middle = (p[line] + p[np.array(names.LIPS_INNER_LOWER)]) / 2
    order = np.argsort(middle[:, 0])
    return np.flatnonzero(p[:, 1] < np.interp(p[:, 0], middle[order, 0], middle[order, 1]) - 1e-6)


def lid_columns(p: np.ndarray) -> tuple[np.ndarray, list[list[list[int]]]]:
    """New points on the lids between rim and ring, because a lid must bend over the eyeball.

    -> points (n,3), numbered from 468 on, and for each lid the columns of ids that lead from its rim to its ring.
    """
    new, lids = [], []
    for eye in (names.RIGHT_EYE, names.LEFT_EYE):
        for rim, ring, shares in (
            (eye.upper, eye.upper_ring, (0.3, 0.65)),
            (eye.lower, eye.lower_ring, (0.5,)),
        ):
            lids.append([])
            for k, (a, b) in enumerate(zip(rim, ring, strict=True)):
                inner = shares if 0 < k < 8 else ()
                lids[-1].append([a, *range(468 + len(new), 468 + len(new) + len(inner)), b])
                new += [(1 - s) * p[a] + s * p[b] for s in inner]
    return np.array(new), lids


def lip_columns() -> list[list[list[int]]]:
    """For the upper and the lower lip, the columns of ids from the rim to the outline."""
    return [[list(column) for column in zip(*rings, strict=True)]
            for rings in (names.LIP_RINGS_UPPER, names.LIP_RINGS_LOWER)]  # fmt: skip


def strip(columns: list[list[int]]) -> list[tuple[int, int, int]]:
    """Triangles between neighbouring columns, which may differ in length."""
    triangles = []
    for a, b in zip(columns[:-1], columns[1:], strict=True):
        i = j = 0
        while i + 1 < len(a) or j + 1 < len(b):
            if j + 1 == len(b) or (i + 1 < len(a) and (i + 1) * len(b) <= (j + 1) * len(a)):
                triangles.append((a[i], a[i + 1], b[j]))
                i += 1
            else:
                triangles.append((a[i], b[j + 1], b[j]))
                j += 1
    return triangles


def triangulate(p: np.ndarray, columns: list) -> np.ndarray:
    """(n,3) -> (F,3) counter-clockwise seen from the front: strips for lids and lips, Delaunay for the rest."""
    from matplotlib.path import Path as Outline
    from scipy.spatial import Delaunay

    d = p - [0, -0.01, -0.09]
    flat = np.stack([np.arctan2(d[:, 0], d[:, 2]), np.arctan2(d[:, 1], np.hypot(d[:, 0], d[:, 2]))], -1)
    rest = np.setdiff1d(np.arange(468), [i for sheet in columns for column in sheet for i in column[:-1]])
    triangles = rest[Delaunay(flat[rest]).simplices]
    middle = flat[triangles].mean(1)
    keep = Outline(flat[names.FACE_OVAL]).contains_points(middle)
    for hole in (names.RIGHT_EYE.ring, names.LEFT_EYE.ring, names.LIPS_OUTER):
        keep &= ~Outline(flat[hole]).contains_points(middle)
    sheets = [t[None] for t in triangles[keep]] + [np.array(strip(c)) for c in columns]
    # a strip turns as a whole: single triangles at the corners of the mouth may be folded over
    triangles = np.concatenate([t if area(flat, t).sum() > 0 else t[:, ::-1] for t in sheets])
    check(triangles, len(p))
    return triangles[np.lexsort(triangles.T[::-1])]


def area(flat: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Twice the signed area of each triangle."""
    a, b, c = np.moveaxis(flat[triangles], 1, 0)
    return (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]


def check(triangles: np.ndarray, points: int) -> None:
    """The face must be one sheet with exactly three holes, and use every point."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges), "a triangle lies the wrong way round"
    both, count = np.unique(np.sort(edges, 1), axis=0, return_counts=True)
    rims = [names.FACE_OVAL, names.LIPS_INNER, names.RIGHT_EYE.rim, names.LEFT_EYE.rim]
    wanted = {tuple(sorted(e)) for rim in rims for e in zip(rim, np.roll(rim, 1), strict=True)}
    assert {tuple(e) for e in both[count == 1]} == wanted
    assert len(np.unique(triangles)) == points


def main() -> None:
    mean, mirror = symmetric_average(*detections())
    smiling = upright(mean)
    neutral = without_smile(smiling)
    neutral = (neutral + neutral[mirror] * [-1, 1, 1]) / 2
    lids, columns = lid_columns(smiling)
    triangles = triangulate(np.concatenate([smiling, lids]), columns + lip_columns())
    points = np.concatenate([neutral, lid_columns(neutral)[0]])
    np.savetxt(HERE / "face_template.csv", np.rint(points * 1e5), "%d", ",", header="x, y, z in 0.01 mm")
    np.savetxt(HERE / "face_triangles.csv", triangles, "%d", ",", header="vertices of face_template.csv")
    print(f"{len(points)} points, {len(triangles)} triangles")


if __name__ == "__main__":
    main()
