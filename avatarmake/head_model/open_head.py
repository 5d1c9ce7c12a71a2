"""The open head: generated in memory from a template of ours, with no licence attached. See `build`."""

from functools import lru_cache

import numpy as np

from avatarmake.head_model import bases, inner, mesh
from avatarmake.head_model import landmark_names as names
from avatarmake.head_model import skin as skins
from avatarmake.head_model.jaw import jaw_weight
from avatarmake.head_model.lids import clear, closing
from avatarmake.head_model.model import JAW, LEFT_EYE, N_SHAPE, NECK, REGIONS, RIGHT_EYE, ROOT, HeadModel

NECK_JOINT, JAW_JOINT = (0, -0.14, -0.10), (0, -0.022, -0.062)
EYES = ((names.LEFT_EYE, LEFT_EYE, "left_eyeball", (0.865, 0.005)),
        (names.RIGHT_EYE, RIGHT_EYE, "right_eyeball", (0.005, 0.005)))  # fmt: skip


@lru_cache(maxsize=1)
def load() -> HeadModel:
    """The open head, built once."""
    return build()


def build() -> HeadModel:
    """-> HeadModel "open", the same on every call and machine. Landmark i (of 468) is vertex i."""
    skin = skins.skin()
    centres = [inner.eye_centre(skin.points, eye) for eye, *_ in EYES]
    for (eye, *_), centre in zip(EYES, centres, strict=True):
        inner.seat_lids(skin.points, eye, centre, lid_ids(skin, eye))
    skin.values["jaw"] = np.zeros(len(skin.points))
    cavity = inner.mouth_cavity(skin)
    walls = [inner.lid_walls(skin, eye, centre) for (eye, *_), centre in zip(EYES, centres, strict=True)]
    skin.values["jaw"] = jaw_weight(skin, cavity)
    lids = [closing(skin, eye, c, wall) for (eye, *_), c, wall in zip(EYES, centres, walls, strict=True)]
    skin.values["lids"] = np.stack(lids, 1)  # (V,2,3)
    flat = np.isin(skin.region, ["mouth", "shoulders"])
    skin = mesh.refined(skin, flat)
    for k, c in enumerate(centres):
        skin.values["lids"][:, k] = clear(skin.points, skin.values["lids"][:, k], c)
    parts = [skin, *(inner.eyeball(c, name, box) for (_, _, name, box), c in zip(EYES, centres, strict=True)),
             inner.teeth(skin.points, True), inner.teeth(skin.points, False), skins.ear(1), skins.ear(-1)]  # fmt: skip
    parts[4].values["jaw"] = np.ones(len(parts[4].points))
    whole, starts = mesh.joined(parts)
    owner = np.repeat(np.arange(len(parts)), [len(p.points) for p in parts])
    return assemble(whole, owner, starts, np.array(centres))


def lid_ids(skin: mesh.Mesh, eye: names.Eye) -> list[int]:
    """All vertices between an eye's rim and its ring, the ring included."""
    inside = skin.faces[np.isin(skin.faces, eye.rim).any(1)]
    near = skin.faces[np.isin(skin.faces, inside).sum(1) >= 2]
    return sorted(set(near.ravel()) & (set(range(468, 510)) | set(eye.rim) | set(eye.ring)))


def assemble(whole: mesh.Mesh, owner: np.ndarray, starts: list[int], centres: np.ndarray) -> HeadModel:
    """Bases, joints, weights and landmarks on the finished mesh. `owner` (V,): 0 skin, 1, 2 eyeballs, 3... the rest."""
    p = whole.points
    shapedirs = shape_basis(whole, owner)
    exprdirs = expression_basis(whole, owner)
    joints = np.array([(0, 0, 0), NECK_JOINT, JAW_JOINT, *centres])
    joints[ROOT] = (0, -0.46, -0.12)
    eye_start = {LEFT_EYE: starts[1], RIGHT_EYE: starts[2]}
    near_jaw = np.argsort(((p[:468] * [0, 1, 1] - joints[JAW]) ** 2).sum(1), kind="stable")[:24]
    joint_shapedirs = np.zeros((5, 3, N_SHAPE))
    joint_shapedirs[JAW] = shapedirs[near_jaw].mean(0) * np.array([0, 1, 1])[:, None]
    for joint, start in eye_start.items():
        joint_shapedirs[joint] = shapedirs[start]
    lids = whole.value("lids", (2, 3)).transpose(1, 0, 2)
    iris = np.array(inner.iris_vertices())
    vertex = np.concatenate([np.arange(468), starts[2] + iris, starts[1] + iris])  # the right iris comes first
    triangle = first_triangle(whole.faces, vertex)
    return HeadModel(
        name="open",
        v_template=single(p),
        faces=whole.faces.astype(np.int32),
        shapedirs=single(shapedirs),
        exprdirs=single(exprdirs),
        posedirs=np.zeros((36, len(p), 3), np.float32),
        joint_template=single(joints),
        joint_shapedirs=single(joint_shapedirs),
        parents=np.array([-1, ROOT, NECK, NECK, NECK], np.int32),
        weights=single(skinning_weights(whole, owner)),
        eyeliddirs=single(lids),
        landmark_ids=np.arange(478, dtype=np.int32),
        landmark_vertices=whole.faces[triangle].astype(np.int32),
        landmark_weights=(whole.faces[triangle] == vertex[:, None]).astype(np.float32),
        uv=single(whole.uv),
        regions={name: whole.region == name for name in REGIONS},
    )


def single(a: np.ndarray) -> np.ndarray:
    """float32, rounded to 10 nm (or 1e-8): the last bits differ between processors, the model's digest must not."""
    return (np.round(a, 8) + 0.0).astype(np.float32)


def first_triangle(faces: np.ndarray, vertex: np.ndarray) -> np.ndarray:
    """For each vertex id the first triangle that has it as a corner."""
    first = np.full(faces.max() + 1, -1)
    for k in range(len(faces) - 1, -1, -1):
        first[faces[k]] = k
    return first[vertex]


def near(p: np.ndarray, landmarks: list[int] | tuple, radius: float) -> np.ndarray:
    """(V,) 1 at the landmarks, falling off as a Gaussian of the distance to the nearest of them."""
    d2 = ((p[:, None] - p[None, list(landmarks)]) ** 2).sum(-1).min(1)
    return np.exp(-d2 / (2 * radius**2))


def shape_basis(whole: mesh.Mesh, owner: np.ndarray) -> np.ndarray:
    """(V,3,300). Eyeballs and teeth move as a whole, with the lids and lips they belong to."""
    p = whole.points
    bust = np.clip((p[:, 1] + 0.185) / 0.06, 0.15, 1)
    detail = near(p, range(468), 0.012) * bust
    face = np.arange(468)
    around = np.arange(0, int((owner == 0).sum()), 7)
    dirs = bases.shape_fields(p, detail, bust, np.concatenate([face, around]))
    dirs = bases.without_rigid_motion(dirs, p, face)
    for part, ids in ((1, names.LEFT_EYE.rim), (2, names.RIGHT_EYE.rim), (3, names.LIPS_INNER), (4, names.LIPS_INNER)):
        dirs[owner == part] = dirs[ids].mean(0)
    return dirs


def expression_basis(whole: mesh.Mesh, owner: np.ndarray) -> np.ndarray:
    """(V,3,100): lips, lids, brows and cheeks move; skull, ears, neck, eyeballs and teeth do not."""
    p = whole.points
    mouth = near(p, [*names.LIPS_OUTER, 199, 205, 425, 2], 0.018)
    eyes = near(p, [*names.RIGHT_EYE.rim, *names.LEFT_EYE.rim, *names.RIGHT_EYE.brow, *names.LEFT_EYE.brow], 0.010)
    mobile = np.maximum(mouth, eyes)
    mobile[mobile < 0.02] = 0
    mobile[(owner > 0) | np.isin(np.arange(len(p)), whole.faces[whole.region == "shoulders"])] = 0
    lid = np.linalg.norm(whole.value("lids", (2, 3))[:, :, 1], axis=1) / 0.008
    apart = np.stack([0.03 * whole.value("jaw") * mouth, 0.008 * np.minimum(lid, 1)], 1)
    return bases.expression_fields(p, apart, mobile, np.flatnonzero((mobile > 0) & (np.arange(len(p)) < 468)))


def skinning_weights(whole: mesh.Mesh, owner: np.ndarray) -> np.ndarray:
    """(V,5): the jaw where it says so, eyeballs, the root below the neck, and the neck joint for all the rest."""
    w = np.zeros((len(whole.points), 5))
    w[:, JAW] = whole.value("jaw")
    w[owner == 1, LEFT_EYE] = w[owner == 2, RIGHT_EYE] = 1
    y = np.clip((whole.points[:, 1] + 0.175) / 0.065, 0, 1)
    w[:, ROOT] = np.where(owner == 0, (1 - y * y * (3 - 2 * y)) * (1 - w[:, JAW]), 0)
    w[:, NECK] = 1 - w.sum(1)
    return w
