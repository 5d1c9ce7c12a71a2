"""The public files about FLAME that a user may have: landmarks, eyelids, masks, texture coordinates. Checked."""

from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.head_model.flame import files, pickles
from avatarmake.head_model.flame.regions import PUBLIC

REMOVE = "Remove it, and what it says is computed; or get it again"


def read(files: dict[str, tuple[Path, ...]], points: np.ndarray, faces: np.ndarray) -> dict:
    """What for -> what the files that are there say about the model of `points` (V,3), `faces` (F,3)."""
    readers = {
        "landmarks": lambda paths: embedding(paths[0], len(faces)),
        "eyelids": lambda paths: eyelids(paths, points),
        "regions": lambda paths: masks(paths[0], len(points)),
        "uv": lambda paths: texture(paths[0], faces),
    }
    return {what: readers[what](paths) for what, paths in files.items()}


def embedding(path: Path, faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """mediapipe_landmark_embedding.npz -> MediaPipe's numbers (n,), triangles (n,), barycentric (n,3)."""
    try:
        with np.load(path, allow_pickle=False) as npz:
            ids, triangle, bary = (np.asarray(npz[k]) for k in ("landmark_indices", "lmk_face_idx", "lmk_b_coords"))
    except Exception as e:
        raise StageError(f"cannot be read: {e}", path, REMOVE) from e
    n = ids.size
    good = ids.dtype.kind in "iu" and triangle.dtype.kind in "iu" and bary.dtype.kind == "f"
    good = good and ids.shape == triangle.shape == (n,) and bary.shape == (n, 3) and n > 20
    good = good and 0 <= ids.min() and ids.max() < 468 and 0 <= triangle.min() and triangle.max() < faces
    good = good and len(np.unique(ids)) == n
    if not (good and np.abs(bary.sum(1) - 1).max() < 1e-2):
        raise StageError(f"is no landmark embedding: {n} landmarks, barycentric {bary.shape}", path, REMOVE)
    return ids.astype(int), triangle.astype(int), bary / bary.sum(1, keepdims=True)


def eyelids(paths: tuple[Path, ...], points: np.ndarray) -> np.ndarray:
    """l_eyelid.npy and r_eyelid.npy -> (2,V,3): the subject's left first, whichever the files call left."""
    out = []
    for path in paths:
        try:
            lid = np.load(path, allow_pickle=False)
        except Exception as e:
            raise StageError(f"cannot be read: {e}", path, REMOVE) from e
        if lid.shape != points.shape or lid.dtype.kind != "f":
            raise StageError(f"is {lid.dtype} {lid.shape}, expected floats {points.shape}", path, REMOVE)
        out.append(lid.astype(np.float64))
    size = [np.linalg.norm(lid, axis=1) for lid in out]
    sides = [float((s * points[:, 0]).sum()) for s in size]
    return np.stack(out if sides[0] > sides[1] else out[::-1])


def masks(path: Path, count: int) -> dict[str, np.ndarray]:
    """FLAME_masks.pkl -> name -> vertex ids."""
    content = files.read(path)
    out = {}
    for name in PUBLIC:
        try:
            ids = pickles.array(content[name])
        except (KeyError, ValueError) as e:
            raise StageError(f"its mask {name}: {e}", path, REMOVE) from e
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or (ids < 0).any() or (ids >= count).any():
            raise StageError(f"its mask {name} does not hold ids of {count} vertices", path, REMOVE)
        out[name] = ids
    return out


def texture(path: Path, faces: np.ndarray) -> np.ndarray:
    """head_template.obj -> (F,3,2) in [0,1], v down (an OBJ counts it upwards)."""
    uv, corners, ids = [], [], []
    try:
        for line in path.read_text(errors="replace").splitlines():
            word, *rest = line.split() or [""]
            if word == "vt":
                uv.append([float(x) for x in rest[:2]])
            elif word == "f":
                parts = [w.split("/") for w in rest]
                ids.append([int(q[0]) - 1 for q in parts])
                corners.append([int(q[1]) - 1 if len(q) > 1 and q[1] else -1 for q in parts])
        uv, corners, ids = np.array(uv), np.array(corners), np.array(ids)
    except (OSError, ValueError) as e:
        raise StageError(f"cannot be read as an OBJ: {e}", path, REMOVE) from e
    if not len(uv):
        raise StageError("has no texture coordinates (lines vt)", path, "Take DECA's or metrical-tracker's. " + REMOVE)
    if ids.shape != faces.shape or not (ids == faces).all() or corners.min() < 0 or corners.max() >= len(uv):
        raise StageError("its triangles are not the model's", path, "Take DECA's or metrical-tracker's. " + REMOVE)
    return np.clip(uv, 0, 1)[corners] * (1, -1) + (0, 1)
