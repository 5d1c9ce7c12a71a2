"""FLAME's files read as arrays: nothing that a pickle names is run.

The project's own reader of FLAME's pickle (stages/head_model/flame) does the work, so that both know the same files.
"""

import io
import pickle
from pathlib import Path

import numpy as np
import torch

from stages.head_model.flame import pickles

ARRAYS = ("f", "v_template", "shapedirs", "posedirs", "kintree_table", "weights")
EMBEDDING = tuple(f"{of}_lmk_{what}" for of in ("static", "dynamic", "full") for what in ("faces_idx", "bary_coords"))
# what a dict of arrays and tensors is pickled with
NAMES = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
}


def flame_model(file) -> dict[str, np.ndarray]:
    """The open file of generic_model.pkl -> its arrays, J_regressor (5,V) among them."""
    model = pickles.read(Path(file.name))
    return {name: pickles.array(model[name]) for name in ARRAYS} | {"J_regressor": pickles.dense(model["J_regressor"])}


def landmark_embedding(path) -> dict[str, np.ndarray]:
    """landmark_embedding.npy, a pickled dict of arrays and torch tensors -> arrays. Raises ValueError."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        held = _Reader(file, encoding="latin1").load()
    held = held.item() if isinstance(held, np.ndarray) and held.shape == () else held
    missing = [name for name in EMBEDDING if name not in held] if isinstance(held, dict) else EMBEDDING
    if missing:
        raise ValueError(f"has no {missing[0]}: it is not the landmark_embedding.npy of DECA")
    return {name: np.asarray(held[name]) for name in EMBEDDING}


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        if (module, name) not in NAMES:
            raise ValueError(f"asks for {module}.{name}, which arrays have no use for; nothing of it was run")
        return super().find_class(module, name)


def _storage(raw):
    """A tensor's numbers; torch's own function of this place would run what the bytes name."""
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
