"""FLAME's own arrays, checked: what generic_model.pkl must hold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.head_model.flame import files, pickles
from avatarmake.head_model.model import N_EXPRESSION, N_SHAPE

V, F, J = 5023, 9976, 5
SHAPES = {
    "v_template": (V, 3),
    "f": (F, 3),
    "shapedirs": (V, 3, N_SHAPE + N_EXPRESSION),
    "posedirs": (V, 3, 9 * (J - 1)),
    "J_regressor": (J, V),
    "kintree_table": (2, J),
    "weights": (V, J),
}
PARENTS = (-1, 0, 1, 1, 1)  # root, neck, jaw, left eye, right eye


@dataclass
class Flame:
    """float64; `faces` int64."""

    v_template: np.ndarray  # (V,3) metres
    faces: np.ndarray  # (F,3)
    shapedirs: np.ndarray  # (V,3,400): 300 of identity, 100 of expression
    posedirs: np.ndarray  # (V,3,36)
    regressor: np.ndarray  # (5,V)
    weights: np.ndarray  # (V,5)


def read_model(path: Path) -> Flame:
    """Raises StageError: which array, what was found, what was expected."""
    content = files.read(path)
    a = {name: _array(content, name, shape, path) for name, shape in SHAPES.items()}
    faces, weights = a["f"].astype(np.int64), a["weights"]
    _check(a["f"].dtype.kind in "iu", "f does not hold whole numbers", path)
    _check(0 <= faces.min() and faces.max() < V, f"f names vertices {faces.min()} to {faces.max()} of {V}", path)
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"):
        _check(np.isfinite(a[name]).all(), f"{name} holds numbers that are not finite", path)
    off = np.abs(weights.sum(1) - 1).max()
    _check(off < 1e-3 and weights.min() > -1e-3, f"weights do not sum to 1 (off by {off:.2g})", path)
    parents = tuple(a["kintree_table"][0].astype(np.uint32).astype(np.int32).tolist())
    _check(parents == PARENTS, f"kintree_table has the parents {parents}, expected {PARENTS}", path)
    size = np.ptp(a["v_template"][:, 1])
    _check(0.1 < size < 1, f"v_template is {size:.3g} high, expected a head in metres", path)
    parts = (a["v_template"], faces, a["shapedirs"], a["posedirs"], a["J_regressor"], weights)
    return Flame(*(p.astype(np.float64) if p is not faces else p for p in parts))


def _array(content: dict, name: str, shape: tuple, path: Path) -> np.ndarray:
    if name not in content:
        held = ", ".join(str(k) for k in list(content)[:12])
        raise StageError(f"has no {name}, it holds: {held}", path, pickles.AGAIN)
    try:
        found = pickles.dense(content[name])
    except (ValueError, RecursionError, TypeError) as e:
        raise StageError(f"{name} {e}", path, pickles.AGAIN) from e
    if found.shape != shape:
        what = f"{name} is {_words(found.shape)}, expected {_words(shape)}"
        raise StageError(what, path, "HEAD_MODEL=flame needs FLAME 2020's or 2023's generic model, with 400 directions")
    return found


def _check(good: bool, what: str, path: Path) -> None:
    if not good:
        raise StageError(what, path, pickles.AGAIN)


def _words(shape: tuple) -> str:
    return " x ".join(map(str, shape)) or "one number"
