"""Stand-ins for the licensed files that FlashAvatar reads: right shapes and names, none of their content.

    python -m tests.flashavatar.standins FOLDER          all of them, where assets.toml says

The head is our own open head in FLAME's format and sizes; eyelids, regions and texture coordinates are computed from
it as for a FLAME without public files.
"""

import pickle
import sys
from pathlib import Path

import numpy as np

from avatarmake import assets
from avatarmake.head_model.flame.assembly import assembled
from avatarmake.head_model.flame.model import V, read_model
from avatarmake.head_model.flame.regions import PUBLIC
from avatarmake.head_model.model import HeadModel
from tests import flame_model

END = 0.012  # metres of the neck above its lower end that FlashAvatar leaves out


def make(folder: Path, filled: float = 1.0) -> Path:
    """`filled`: which part of the texture's side is used, and so of the Gaussians its square."""
    def place(name: str) -> Path:
        path = folder / assets.manifest()[name].file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    head = assembled(read_model(flame_model.write(place("flame2020"))), {}, "generic_model.pkl")
    for name, lid in zip(assets.ABOUT_FLAME["eyelids"], head.eyeliddirs, strict=True):
        np.save(place(name), lid.astype(np.float64))
    place("flame_masks").write_bytes(pickle.dumps(masks(head), 2))
    place("flashavatar_mesh").write_text(mesh(head, filled))
    return folder


def masks(head: HeadModel) -> dict[str, np.ndarray]:
    """FLAME_masks.pkl: name -> vertices."""
    found = {name: np.flatnonzero(head.vertex_region(region)[:V]) for name, region in PUBLIC.items()}
    neck = found["boundary"]
    height = head.v_template[:V, 1]
    return found | {"boundary": neck[height[neck] < height[neck].min() + END]}


def mesh(head: HeadModel, filled: float) -> str:
    """An OBJ of the head model's triangles, each corner with texture coordinates of its own, v upwards."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in head.v_template]
    lines += [f"vt {u:.6f} {1 - v:.6f}" for u, v in filled * layout(head).reshape(-1, 2)]
    for k, corners in enumerate(head.faces + 1):
        lines.append("f " + " ".join(f"{vertex}/{3 * k + c + 1}" for c, vertex in enumerate(corners)))
    return "\n".join(lines) + "\n"


def layout(head: HeadModel) -> np.ndarray:
    """(F,3,2): the head model's own, whose disc of skin is drawn out towards a square: FLAME's fills as much of it."""
    uv = head.uv.astype(np.float64)
    skin = ~head.regions["left_eyeball"] & ~head.regions["right_eyeball"]
    away = uv[skin] - 0.5
    away *= (np.linalg.norm(away, axis=-1) / np.maximum(np.cbrt((np.abs(away) ** 3).sum(-1)), 1e-9))[..., None]
    uv[skin] = 0.5 + away * (0.49 / np.abs(away).max())
    return uv


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
