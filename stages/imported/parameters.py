"""Other tools' numbers as this project's: sizes, paddings, and the one thing that is said of each."""

from pathlib import Path
from typing import Any

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats.frame import FrameRecord
from avatarmake.geometry import rotations

LEVEL = np.eye(3, dtype=np.float32)[:2].ravel()  # 6D of no rotation


def vector(value: Any, size: int, name: str, path: Path, shorter: bool = False) -> np.ndarray:
    """-> (size,) float32, without the batch axis. `shorter`: fewer are padded with zeros, as of a basis cut short.

    Raises StageError for another size, for what is no number and for NaN.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise StageError(f"{name} is {array.dtype}, expected numbers", path)
    if array.ndim > 1 and max(array.shape[:-1]) > 1 and array.size != size:
        raise StageError(f"{name} is {array.shape}, expected ({size},)", path)
    flat = array.astype(np.float32).ravel()
    if len(flat) > size or (len(flat) < size and not (shorter and len(flat))):
        more = f"at most {size}" if shorter else size
        raise StageError(f"{name} has {len(flat)} numbers, expected {more}", path)
    if not np.isfinite(flat).all():
        raise StageError(f"{name} holds NaN or infinity", path)
    return np.pad(flat, (0, size - len(flat)))


def matrix(value: Any, name: str, path: Path, side: int = 3) -> np.ndarray:
    """-> (side, side) float64. Raises StageError."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as e:
        raise StageError(f"{name} is no matrix of numbers", path) from e
    array = array[0] if array.ndim == 3 and len(array) == 1 else array
    if array.shape != (side, side) or not np.isfinite(array).all():
        raise StageError(f"{name} is {array.shape}, expected {side} x {side} finite numbers", path)
    return array


def rot6d(axis_angle: np.ndarray) -> np.ndarray:
    """(3k,) radians -> (6k,) float32, the rows of each."""
    matrices = rotations.matrix_from_axis_angle(axis_angle.astype(np.float64).reshape(-1, 3))
    return rotations.rot6d_from_matrix(matrices).astype(np.float32).ravel()


def axis_angle(six: np.ndarray) -> np.ndarray:
    """(6k,) -> (3k,) float32 radians."""
    matrices = rotations.matrix_from_rot6d(six.astype(np.float64).reshape(-1, 6))
    return rotations.axis_angle_from_matrix(matrices).astype(np.float32).ravel()


def degrees(turn: np.ndarray) -> float:
    """(3,) axis-angle or (3,3) -> by how much it turns."""
    turn = rotations.axis_angle_from_matrix(turn) if turn.ndim == 2 else turn
    return float(np.degrees(np.linalg.norm(turn)))


def padded(sizes: dict[str, set[int]]) -> list[str]:
    """What is said of parameters that came with fewer numbers: name -> how many there were."""
    full = {"shape": 300, "expression": 100}
    return [
        f"its {name} has {min(found)} numbers of {full[name]}: the rest is zero"
        for name, found in sizes.items()
        if found and min(found) < full[name]
    ]


def of_record(record: FrameRecord) -> dict[str, np.ndarray]:
    """jaw_pose and eye_pose (axis-angle) of a record, for a Tracking."""
    return {"jaw_pose": axis_angle(record.jaw_rot6d), "eye_pose": axis_angle(record.eyes_rot6d)}
