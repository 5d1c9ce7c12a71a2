"""The user's files read as numbers: nothing that a pickle names is run. What is wrong with one is a StageError.

FLAME goes through the project's own reader (avatarmake/head_model/flame), so that both know the same files.
"""

from pathlib import Path

import numpy as np
from uv_mesh import load_obj

from avatarmake import assets
from avatarmake.errors import Exit, StageError
from avatarmake.head_model.flame import files, pickles
from avatarmake.head_model.flame.model import PARENTS, V, read_model

HERE = Path(__file__).parent


def flame_model(file) -> dict[str, np.ndarray]:
    """The open file of the generic model -> its arrays, by FLAME's names."""
    flame = read_model(Path(file.name))
    return {
        "f": flame.faces,
        "v_template": flame.v_template,
        "shapedirs": flame.shapedirs,
        "posedirs": flame.posedirs,
        "J_regressor": flame.regressor,
        "kintree_table": np.stack([PARENTS, np.arange(len(PARENTS))]),
        "weights": flame.weights,
    }


def eyelid(path: str) -> Path:
    """Which file is meant by the end of `path`: the subject's left lid or the right one."""
    return assets.need("flame_left_eyelid" if Path(path).name.startswith("l") else "flame_right_eyelid")


def no_landmarks() -> dict[str, np.ndarray]:
    """Nothing, by the names of both embeddings."""
    names = ["landmark_indices", "lmk_face_idx", "lmk_b_coords"]
    names += [f"{kind}_lmk_{what}" for kind in ("static", "dynamic") for what in ("faces_idx", "bary_coords")]
    return {name: np.zeros((0, 3)) for name in names}


def mesh(path: str) -> Path:
    """The textured mesh: the assets' where it is there, else the one that lies beside. It must be of the FLAME used."""
    place = assets.find("flashavatar_mesh") or HERE / path
    try:
        triangles = load_obj(place)[1].verts_idx.numpy()
    except (OSError, ValueError, IndexError) as e:
        raise wrong(place, f"cannot be read as an OBJ with texture coordinates: {e}") from e
    known = {tuple(sorted(t)) for t in triangles.tolist()}
    lacking = [t for t in read_model(assets.need_one(assets.FLAME)).faces.tolist() if tuple(sorted(t)) not in known]
    if lacking:
        raise wrong(place, f"lacks {len(lacking)} of the head model's triangles: it is another model's")
    return place


def masks() -> dict[str, np.ndarray]:
    """FLAME_masks.pkl -> its mask `boundary`: the vertices of the neck's lower end, which get no Gaussians."""
    path = assets.need("flame_masks")
    try:
        ids = pickles.array(files.read(path)["boundary"])
    except (KeyError, ValueError) as e:
        raise wrong(path, f"its mask boundary: {e}") from e
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not ((ids >= 0) & (ids < V)).all():
        raise wrong(path, f"its mask boundary does not hold ids of {V} vertices")
    return {"boundary": ids}


def wrong(path: Path, what: str) -> StageError:
    return StageError(what, path, "Remove it and type: make assets", Exit.MISSING_ASSET)
