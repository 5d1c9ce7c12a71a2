"""The points of the surface whose look is followed: vertices of skin, ears, lips and eyeballs, and which are seen."""

from dataclasses import replace

import cv2
import numpy as np

from avatarmake.head_model.mesh import normals
from avatarmake.head_model.model import HeadModel
from stages.track import points
from stages.track.projection import Posed, Projection

SKIN, EYES = ("face", "lips", "ears"), ("left_eyeball", "right_eyeball")
HIDDEN = ("mouth", "neck", "shoulders", "scalp")  # beside skin: what lies behind the lips, hair, clothes
MOST = 2000  # points of skin
FACING, FULL = 0.2, 0.7  # cosines between normal and view: from where a point counts, and counts fully
LID = 2.0  # px inside the lids from where an eyeball counts fully


def chosen(head: HeadModel) -> np.ndarray:
    """Vertex ids (S,), ascending: those of the eyeballs' fronts, and up to MOST of the skin."""
    skin = np.any([head.vertex_region(name) for name in SKIN], 0)
    skin &= ~np.any([head.vertex_region(name) for name in HIDDEN + EYES], 0)
    ids = np.flatnonzero(skin)
    if len(ids) > MOST:
        ids = np.random.default_rng(0).choice(ids, MOST, replace=False)
    eyes = [head.vertex_region(name) for name in EYES]
    front = [np.flatnonzero(e & (head.v_template[:, 2] > head.v_template[e, 2].mean())) for e in eyes]
    return np.unique(np.concatenate([ids, *front]))


class Surface:
    """One person's points, S of them. `lids` are the places of the rims' landmarks among those that are projected."""

    def __init__(self, head: HeadModel, landmarks: Projection, size: tuple[int, int]):
        """`landmarks`: this person's, whose shape, focal length and pivot are taken."""
        self.ids = chosen(head)
        vertex = np.repeat(self.ids[:, None], 3, 1)
        weight = np.tile(np.float32([1, 0, 0]), (len(self.ids), 1))
        number = np.arange(len(self.ids))
        marked = replace(head, landmark_ids=number, landmark_vertices=vertex, landmark_weights=weight)
        who, d = (landmarks.shape, float(landmarks.focal)), landmarks.dtype
        self.projection = Projection(marked.at_landmarks(number), *who, size, d, about=landmarks.pivot)
        self.normals = normals(head.identity(landmarks.shape).astype(np.float64), head.faces)[self.ids].astype(d)
        self.size = np.array(size)
        where = {int(i): k for k, i in enumerate(landmarks.model.landmark_ids)}
        sides = zip(EYES, (points.LEFT_LIDS, points.RIGHT_LIDS), strict=True)
        self.eyes = [
            (np.isin(self.ids, np.flatnonzero(head.vertex_region(name))), [where[i] for i in rim if i in where])
            for name, rim in sides
        ]

    def seen(self, posed: Posed, landmarks: np.ndarray) -> np.ndarray:
        """(F,S) 0...1: how well each point is in sight; landmarks (F,L,2): where the lids' rims are. Head's own shadow
        (a nose before a cheek) is not looked for: it is rare, and robust weights find it."""
        toward = -(posed.seen * (self.normals @ posed.camera_rot.swapaxes(1, 2))).sum(-1)
        facing = toward / np.linalg.norm(posed.seen, axis=-1)
        weight = np.clip((facing - FACING) / (FULL - FACING), 0, 1)
        weight *= ((posed.uv > LID) & (posed.uv < self.size - LID)).all(-1)
        for own, rim in self.eyes:
            if own.any():
                for f in range(len(weight)):
                    weight[f, own] *= within(posed.uv[f, own], landmarks[f, rim])
        return weight


def within(uv: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """(n,) how far points uv (n,2) are inside the polygon rim (m,2): 0 at its edge and outside, 1 from LID px on."""
    hull = cv2.convexHull(rim.astype(np.float32))
    inside = [cv2.pointPolygonTest(hull, (float(x), float(y)), True) for x, y in uv]
    return np.clip(np.array(inside) / LID, 0, 1)
