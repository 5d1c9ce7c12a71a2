"""What every array of a subject's file is held to."""

from pathlib import Path
from typing import Any

import numpy as np

from avatarmake.errors import StageError


def checked(value: Any, shape: tuple, meaning: str, name: str, path: Path) -> np.ndarray:
    """`value` as contiguous float32 of exactly this shape, all finite; StageError otherwise."""
    array = np.asarray(value)
    if array.shape != shape:
        got, expected = array.shape, shape
        if len(got) == len(shape) and got[0] == shape[0] == 1:  # the batch axis says nothing
            got, expected = got[1:], shape[1:]
        raise wrong(path, f"{name} is {got}, expected {expected} {meaning}")
    if array.dtype.kind != "f":
        raise wrong(path, f"{name} is {array.dtype}, expected floats")
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise wrong(path, f"{name} holds NaN or infinity")
    return array


def wrong(path: Path, what: str) -> StageError:
    """A fault of a subject's file, named as `tracking/17.npz`, with the target that writes it again."""
    dataset = path.suffix == ".frame"
    subject = path.parents[2 if dataset else 1].name if len(path.parents) > (2 if dataset else 1) else ""
    verb = "convert" if dataset else "track"
    return StageError(what, f"{path.parent.name}/{path.name}", f"Run: make {verb} ID={subject}" if subject else "")
