"""Which part of the head each triangle belongs to (head_model.model.REGIONS), and texture coordinates."""

import numpy as np

from avatarmake.head_model import open_head
from avatarmake.head_model.flame import surface
from avatarmake.head_model.model import REGIONS

# FLAME_masks.pkl's names, the later over the earlier; whatever none of them has is face
PUBLIC = {"scalp": "scalp", "neck": "neck", "boundary": "neck", "left_ear": "ears", "right_ear": "ears", "lips": "lips",
          "left_eyeball": "left_eyeball", "right_eyeball": "right_eyeball"}  # fmt: skip


def from_masks(masks: dict[str, np.ndarray], faces: np.ndarray, count: int, hidden: np.ndarray) -> dict:
    """The public vertex masks (name -> ids) -> region -> (F,) bool. `hidden` (F,): cannot be seen from outside.

    The mask of the lips goes on into the mouth: what of it is hidden is the mouth's cavity.
    """
    name = np.full(len(faces), "face", "U16")
    for mask, region in PUBLIC.items():
        inside = np.zeros(count, bool)
        inside[masks[mask]] = True
        name[inside[faces].all(1)] = region
    name[(name == "lips") & hidden] = "mouth"
    return {region: name == region for region in REGIONS}


def computed(points, faces, ball: np.ndarray, marks: np.ndarray, lips: list[int], hidden: np.ndarray) -> dict:
    """Regions from our own head, laid over this one by the landmarks `marks` (468,3) that both have.

    `ball` (F,): 1 left, 2 right eyeball, 0 skin. `lips`: landmarks of the lips' outline, in order.
    """
    ours = open_head.load()
    aligned = affine(marks, ours.v_template[:468])
    middle = points[faces].mean(1)
    theirs = np.isin(np.arange(len(ours.faces)), np.flatnonzero(~ours.regions["mouth"] & ~ours.regions["lips"]))
    theirs &= ~ours.regions["left_eyeball"] & ~ours.regions["right_eyeball"]
    centres = ours.v_template[ours.faces[theirs]].mean(1)
    kind = np.full(len(ours.faces), "face", "U16")
    for region in ("scalp", "ears", "neck", "shoulders"):
        kind[ours.regions[region]] = "neck" if region == "shoulders" else region
    kind = kind[theirs]
    pieces = np.array_split(aligned(middle), 20)  # memory
    name = kind[np.concatenate([surface.squared_distances(p, centres).argmin(1) for p in pieces])]
    front = middle[:, 2] > marks[lips, 2].min() - 0.035
    name[front & within(middle[:, :2], marks[lips, :2])] = "lips"
    name[(name == "lips") & hidden] = "mouth"
    name[ball == 1], name[ball == 2] = "left_eyeball", "right_eyeball"
    return {region: name == region for region in REGIONS}


def affine(a: np.ndarray, b: np.ndarray):
    """-> function: points near a (n,3) to where they are near b (n,3); scaled along the axes and moved."""
    ca, cb = a.mean(0), b.mean(0)
    scale = np.linalg.norm(b - cb) / np.linalg.norm(a - ca)
    return lambda p: (p - ca) * scale + cb


def within(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(N,) bool: points (N,2) in the polygon outline (M,2); even-odd rule."""
    inside = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, 0), strict=True):
        crosses = (y0 > points[:, 1]) != (y1 > points[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (points[:, 0] < (x1 - x0) * (points[:, 1] - y0) / (y1 - y0) + x0)
    return inside


def unwrapped(points: np.ndarray, faces: np.ndarray, ball: np.ndarray, open_end: np.ndarray) -> np.ndarray:
    """(F,3,2) texture coordinates: the skin as a disc without a seam, about its far end from `open_end` (3,), the
    neck's opening; the eyeballs' fronts in two corners."""
    skin = ball == 0
    used = points[np.unique(faces[skin])]
    centre = (used.max(0) + used.min(0)) / 2
    axes = surface.frame(centre - open_end)
    d = (points - centre) @ axes.T
    polar = np.arctan2(np.hypot(d[:, 0], d[:, 1]), d[:, 2]) / np.pi
    turn = np.arctan2(d[:, 0], d[:, 1])
    uv = 0.5 + 0.49 * polar[:, None] * np.stack([np.sin(turn), -np.cos(turn)], -1)
    for which, corner in ((1, (0.935, 0.065)), (2, (0.065, 0.065))):
        ids = np.unique(faces[ball == which])
        p = points[ids] - (points[ids].max(0) + points[ids].min(0)) / 2
        uv[ids] = np.array(corner) + 0.06 * p[:, :2] * (1, -1) / np.abs(p[:, :2]).max()
    return uv[faces]
