"""The user's files read as numbers: nothing that a pickle names is run. What is wrong with one is a StageError.

FLAME goes through the project's own reader (avatarmake/head_model/flame), so that both know the same files.
"""

import io
import pickle
from pathlib import Path

import numpy as np
import torch

from avatarmake.errors import Exit, StageError
from avatarmake.head_model.flame.model import PARENTS, read_model

EMBEDDING = tuple(f"{of}_lmk_{what}" for of in ("static", "dynamic", "full") for what in ("faces_idx", "bary_coords"))
COUNTER = "num_batches_tracked"
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
    """The open file of generic_model.pkl -> its arrays, by FLAME's names."""
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


def landmark_embedding(path) -> dict[str, np.ndarray]:
    """landmark_embedding.npy, a pickled dict of arrays and torch tensors -> arrays."""
    try:
        with open(path, "rb") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            held = _Reader(file, encoding="latin1").load()
    except Exception as e:  # a torn pickle fails in as many ways as there are bytes in it
        raise wrong(path, f"cannot be read: {e}") from e
    held = held.item() if isinstance(held, np.ndarray) and held.shape == () else held
    missing = [name for name in EMBEDDING if name not in held] if isinstance(held, dict) else EMBEDDING
    if missing:
        raise wrong(path, f"has no {missing[0]}: it is not DECA's landmark_embedding.npy")
    return {name: np.asarray(held[name]) for name in EMBEDDING}


def weights(path, *needed) -> dict:
    """A checkpoint's dict of weights, which must have the keys `needed`."""
    try:
        with torch.serialization.safe_globals(_numbers()):
            held = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as e:  # as above, and what it refuses to run
        raise wrong(path, f"cannot be read as weights: {str(e).splitlines()[0][:160]}") from e
    missing = [key for key in needed if key not in held] if isinstance(held, dict) else needed
    if missing:
        raise wrong(path, f"has no {missing[0]}: it is another checkpoint")
    return held


def filled(path, make, state) -> torch.nn.Module:
    """The network that `make` makes, with the weights `state`; its own random ones are never drawn.

    Only the counters of batches, which older versions did not keep, may be missing.
    """
    with torch.device("meta"):
        model = make()
    there = model.state_dict()
    state = {name: torch.zeros((), dtype=torch.long) for name in there if name.endswith(COUNTER)} | state
    lost = [name for name in there if name not in state]
    other = [name for name in there if name in state and state[name].shape != there[name].shape]
    if lost or other:
        first = f"has no {lost[0]}" if lost else f"has another shape for {other[0]}"
        raise wrong(path, f"{first}: it is another network's")
    model.load_state_dict({name: state[name].to(value.dtype) for name, value in there.items()}, assign=True)
    return model.eval()


def wrong(path, what) -> StageError:
    return StageError(what, path, "Remove it and type: make assets", Exit.MISSING_ASSET)


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        if (module, name) not in NAMES:
            raise ValueError(f"it asks for {module}.{name}, which arrays have no use for; nothing of it was run")
        return super().find_class(module, name)


def _storage(raw):
    """A tensor's numbers; torch's own function of this place would run what the bytes name."""
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def _numbers():
    """numpy's own scalars, which a training script may have left in its checkpoint: numbers, and no code."""
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")]
    return [np.core.multiarray.scalar, np.dtype, *kinds]
