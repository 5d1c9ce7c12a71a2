"""A HeadModel of FLAME's arrays, and of what FLAME does not have: from public files, or computed."""

from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.flame import eyes, fitting, public, regions, surface
from avatarmake.head_model.flame.model import PARENTS, Flame
from avatarmake.head_model.model import LEFT_EYE, N_SHAPE, RIGHT_EYE, HeadModel

COMPUTED = "computed from the model's geometry"


def assembled(flame: Flame, files: dict[str, tuple[Path, ...]], name: str) -> HeadModel:
    """`files`: what for -> the public files that are there; `name`: the model's file, for `sources`."""
    p, sources = flame.v_template, {"model": name}
    for what in ("landmarks", "eyelids", "regions", "uv"):
        sources[what] = ", ".join(f.name for f in files[what]) if what in files else COMPUTED
    if "landmarks" in files:
        sources["landmarks"] += "; those that it lacks computed"
    given = public.read(files, p, flame.faces)
    owner = flame.weights[:, [LEFT_EYE, RIGHT_EYE]] > 0.5
    ball = owner[flame.faces].all(1) @ np.array([1, 2])  # (F,) 1 left, 2 right, 0 skin
    skin = ball == 0
    found = [eyes.eye(p, flame.faces, owner[:, k]) for k in (0, 1)]
    if None in found:
        raise StageError("its eyes are closed, or their eyeballs do not turn with the eyes' joints", name)
    seen = surface.visible(p[flame.faces], fitting.VIEWS)

    triangle, bary = landmarks(flame, skin, seen, found, given.get("landmarks"))
    marks = (p[flame.faces[triangle]] * bary[..., None]).sum(1)
    if "regions" in given:
        parts = regions.from_masks(given["regions"], flame.faces, len(p), skin & ~seen)
    else:
        parts = regions.computed(p, flame.faces, ball, marks[:468], names.LIPS_OUTER, skin & ~seen)
    lids = given.get("eyelids")
    if lids is None:
        lids = np.stack([eyes.closing(p, ~owner.any(1), e) for e in found])
    uv = given.get("uv")
    if uv is None:
        uv = regions.unwrapped(p, flame.faces, ball, neck_end(flame, skin))
    faces = np.concatenate([flame.faces, mouth_lid(flame, skin, found)])
    added = len(faces) - len(flame.faces)
    parts = {region: np.concatenate([inside, np.full(added, region == "mouth")]) for region, inside in parts.items()}
    return HeadModel(
        name="flame",
        v_template=p.astype(np.float32),
        faces=faces.astype(np.int32),
        shapedirs=np.ascontiguousarray(flame.shapedirs[..., :N_SHAPE], np.float32),
        exprdirs=np.ascontiguousarray(flame.shapedirs[..., N_SHAPE:], np.float32),
        posedirs=np.ascontiguousarray(flame.posedirs.transpose(2, 0, 1), np.float32),
        joint_template=rounded(flame.regressor @ p, 7),
        joint_shapedirs=rounded(np.tensordot(flame.regressor, flame.shapedirs[..., :N_SHAPE], 1), 8),
        parents=np.array(PARENTS, np.int32),
        weights=flame.weights.astype(np.float32),
        eyeliddirs=rounded(lids, 6),
        landmark_ids=np.arange(len(triangle), dtype=np.int32),
        landmark_vertices=flame.faces[triangle].astype(np.int32),
        landmark_weights=bary.astype(np.float32),
        uv=rounded(np.concatenate([uv, np.full((added, 3, 2), 0.5)]), 6),
        regions=parts,
        sources=sources,
    )


def rounded(a: np.ndarray, digits: int) -> np.ndarray:
    """float32; the last bits of what is computed differ between processors, the model's digest must not."""
    return (np.round(a, digits) + 0.0).astype(np.float32)


def landmarks(flame: Flame, skin: np.ndarray, seen: np.ndarray, found: list[eyes.Eye], given: tuple | None) -> tuple:
    """`given`: what the public embedding says, or None.

    -> triangle (478,), barycentric (478,3), in the order of MediaPipe's numbers.
    """
    known = fitting.NOTHING
    corners = flame.v_template[flame.faces]
    if given:
        ids, triangle, bary = given
        place = (corners[triangle] * bary[..., None]).sum(1)
        known = fitting.Known(ids, place, np.full((len(ids), 3), 0.0003))
    triangle, bary = fitting.fitted(flame.v_template, flame.faces, skin, seen, found, known)
    bary = np.round(bary, 3)
    bary[:, 0] = 1 - bary[:, 1] - bary[:, 2]
    if given:
        triangle[given[0]], bary[given[0]] = given[1], given[2]
    for e in found[::-1]:  # MediaPipe's 468 to 472 are the subject's right
        near = np.flatnonzero(~skin & (np.abs(corners.mean(1) - e.centre) < 0.02).all(1))
        _, hit, weights = surface.closest(eyes.iris(e), corners[near])
        triangle, bary = np.concatenate([triangle, near[hit]]), np.concatenate([bary, np.round(weights, 6)])
    return triangle, bary


def neck_end(flame: Flame, skin: np.ndarray) -> np.ndarray:
    """(3,) the middle of the lowest open edge, or the lowest vertex."""
    p = flame.v_template
    ends = [p[loop].mean(0) for loop in surface.boundary_loops(flame.faces[skin])]
    return min(ends, key=lambda q: q[1], default=p[p[:, 1].argmin()])


def mouth_lid(flame: Flame, skin: np.ndarray, found: list[eyes.Eye]) -> np.ndarray:
    """(n,3) triangles over the hole behind FLAME's lips, so that an open mouth has something to show."""
    loop = surface.mouth_loop(flame.v_template, flame.faces[skin], [e.centre for e in found])
    if loop is None:
        return np.zeros((0, 3), np.int64)
    ring = np.roll(loop, -int(flame.v_template[loop, 0].argmax()))[::-1]  # the other way round: neighbours disagree
    ring = np.roll(ring, 1)  # from the corner again
    i, j, out = 0, len(ring) - 1, []
    while j - i > 1:  # a strip from corner to corner: a triangle from this side, one from the other
        if len(out) % 2 == 0:
            out.append((ring[i], ring[i + 1], ring[j]))
            i += 1
        else:
            out.append((ring[i], ring[j - 1], ring[j]))
            j -= 1
    return np.array(out)
