"""A stand-in for FLAME's licensed generic_model.pkl: the same format and sizes, with our open head's geometry in it.

5023 vertices (left eyeball 3931 to 4476, right one 4477 to 5022), 9976 triangles, 300 + 100 directions, 36 pose
directions, 5 joints; like FLAME's, its skin is one piece that ends at the neck and behind the lips.
"""

import pickle
import sys
import types
from functools import cache
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.head_model.flame.surface import boundary_loops
from avatarmake.head_model.inner import EYE_RADIUS
from avatarmake.head_model.mesh import grid_faces
from avatarmake.head_model.model import JAW, LEFT_EYE, NECK, RIGHT_EYE, ROOT, HeadModel

SKIN, BALL, FACES = 3931, 546, 9976
ORIGIN = np.array([0.0, 0.06, -0.03])  # FLAME's origin is not between the eyes
RINGS, SEGMENTS = 17, 32  # of an eyeball, without its poles


@cache
def arrays() -> dict:
    """generic_model.pkl's content by its own names, as numpy arrays (J_regressor dense), float64."""
    ours = head_model.load("open")
    faces, kept = skin(ours)
    balls = [eyeball(ours.joint_template[joint]) for joint in (LEFT_EYE, RIGHT_EYE)]
    points = np.concatenate([ours.v_template[kept], *(p for p, _ in balls)]).astype(np.float64) + ORIGIN
    faces = np.concatenate([faces, *(f + SKIN + BALL * k for k, (_, f) in enumerate(balls))])
    dirs = np.concatenate([ours.shapedirs, ours.exprdirs], -1).astype(np.float64)
    eye_dirs = [dirs[ours.vertex_region(name)].mean(0) for name in ("left_eyeball", "right_eyeball")]
    weights = np.zeros((len(points), 5))
    weights[:SKIN] = ours.weights[kept]
    weights[SKIN : SKIN + BALL, LEFT_EYE] = weights[SKIN + BALL :, RIGHT_EYE] = 1
    return {
        "v_template": points,
        "f": faces.astype(np.uint32),
        "shapedirs": np.concatenate([dirs[kept], *(np.repeat(d[None], BALL, 0) for d in eye_dirs)]),
        "posedirs": pose_directions(points, weights),
        "weights": weights,
        "J_regressor": regressor(points, ours.joint_template + ORIGIN),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], range(5)]),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def skin(ours: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """-> triangles (7800,3), and which of the open head's vertices they are of, (3931,)."""
    faces = ours.faces[np.any([ours.regions[r] for r in ("face", "scalp", "neck", "lips")], axis=0)].astype(int)
    neck, mouth, *eyes = boundary_loops(faces)
    more = [np.stack([np.full(len(e) - 2, e[0]), e[2:], e[1:-1]], 1) for e in eyes]  # sockets are closed behind
    more += [ears(loop, count) for loop, count in ((neck, len(neck) - 30), (mouth, len(mouth) - 32))]
    faces = np.concatenate([faces, *more])
    behind = ours.vertex_region("scalp") & ~ours.vertex_region("face") & ~ours.vertex_region("neck")
    faces = collapsed(faces, behind, len(np.unique(faces)) - SKIN)
    kept, numbers = np.unique(faces, return_inverse=True)
    return numbers.reshape(-1, 3), kept


def ears(loop: np.ndarray, count: int) -> np.ndarray:
    """`count` triangles, each over a corner of an open edge, which so has as many vertices less."""
    loop, out, k = list(loop), [], 1
    while len(out) < count:
        k %= len(loop)
        out.append((loop[(k + 1) % len(loop)], loop[k], loop[k - 1]))
        loop.pop(k)
        k += 1
    return np.array(out)


def collapsed(faces: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """`count` inner edges between vertices of `where` (V,) bool are each drawn together to a point."""
    touched: set[int] = set()
    for a, b in faces[where[faces].all(1)][:, :2]:
        if count == 0:
            break
        around = [set(faces[(faces == v).any(1)].ravel()) for v in (a, b)]
        if len(around[0] & around[1] - {a, b}) != 2 or {a, b} & touched:
            continue
        touched |= {a, b}
        faces = np.where(faces == b, a, faces)
        faces = faces[(faces != np.roll(faces, 1, 1)).all(1)]
        count -= 1
    assert count == 0
    return faces


def eyeball(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-> points (546,3), triangles (1088,3): the pupil's pole first, then rings of 32, the pole behind last."""
    polar = np.linspace(0, np.pi, RINGS + 2)[1:-1]
    angle = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    rows = [np.c_[np.sin(p) * ring, np.full(SEGMENTS, np.cos(p))] for p in polar]
    points = np.concatenate([[[0, 0, 1.0]], *rows, [[0, 0, -1.0]]])
    k, last = np.arange(SEGMENTS), len(points) - 1
    after = (k + 1) % SEGMENTS
    front = np.stack([0 * k, 1 + k, 1 + after], 1)
    back = np.stack([0 * k + last, last - SEGMENTS + after, last - SEGMENTS + k], 1)
    return centre + EYE_RADIUS * points, np.concatenate([front, grid_faces(RINGS, SEGMENTS, True)[:, ::-1] + 1, back])


def pose_directions(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V,3,36) smooth fields of a few millimetres where the neck's and the jaw's skin stretches; eyes stay round."""
    rng = np.random.default_rng(7)
    stretch = np.zeros((len(points), 4))
    for k, joint in enumerate((NECK, JAW)):
        stretch[:, k] = 4 * weights[:, joint] * (1 - weights[:, joint])
    waves = np.sin(points @ rng.normal(scale=25, size=(3, 36)) + rng.uniform(0, 6, 36))
    directions = rng.normal(size=(3, 36)) * 0.004
    return waves[:, None] * directions * np.repeat(stretch, 9, 1)[:, None]


def regressor(points: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(5,5023) each joint as a mean of vertices: an eyeball's own, else those about as high and deep as it."""
    out = np.zeros((5, len(points)))
    out[LEFT_EYE, SKIN : SKIN + BALL] = out[RIGHT_EYE, SKIN + BALL :] = 1 / BALL
    for joint in (ROOT, NECK, JAW):
        near = np.argsort(((points[:SKIN, 1:] - wanted[joint, 1:]) ** 2).sum(1), kind="stable")[:24]
        out[joint, near] = 1 / 24
    return out


# --- as a pickle ---------------------------------------------------------------------------------------------------

CHUMPY = ("v_template", "shapedirs", "posedirs", "weights")  # what FLAME's file keeps as chumpy objects


def write(path: Path, content: dict | None = None) -> Path:
    """The pickle as chumpy and scipy would write it, without either: classes of their names, with their state."""
    content = dict(arrays() if content is None else content)
    with named("chumpy.ch", "Ch") as ch, named("scipy.sparse.csc", "csc_matrix") as csc:
        for name in CHUMPY:
            if name in content:
                state = {"_dirty_vars": {"x"}, "_itr": None, "_make_dense": False, "_make_sparse": False}
                content[name] = ch.with_state({**state, "_depends_on_deps": {}, "x": content[name]})
        if "J_regressor" in content:
            content["J_regressor"] = csc.with_state(columns(np.asarray(content["J_regressor"])))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(content, 2))
    return path


def columns(dense: np.ndarray) -> dict:
    """scipy's csc_matrix, as its state."""
    column, row = np.nonzero(dense.T)
    starts = np.r_[0, np.cumsum(np.bincount(column, minlength=dense.shape[1]))].astype(np.int32)
    data = dense[row, column]
    return {"_shape": dense.shape, "maxprint": 50, "indices": row.astype(np.int32), "indptr": starts, "data": data}


class named:
    """A class that pickles as `module.name`, for as long as the block lasts."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def __enter__(self):
        path = self.module.split(".")
        self.modules = {".".join(path[: k + 1]): sys.modules.get(".".join(path[: k + 1])) for k in range(len(path))}
        made = type(self.name, (), {"__module__": self.module, "with_state": classmethod(_with_state)})
        for module in self.modules:
            sys.modules[module] = types.ModuleType(module)
        setattr(sys.modules[self.module], self.name, made)
        return made

    def __exit__(self, *_):
        for module, before in self.modules.items():
            sys.modules.pop(module)
            if before is not None:
                sys.modules[module] = before


def _with_state(cls, state: dict):
    made = cls()
    made.__dict__.update(state)
    return made


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
