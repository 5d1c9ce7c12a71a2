"""transforms.json, as NeRF's descendants write it: one camera a frame, its pose in the world and its intrinsics."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from avatarmake.errors import StageError
from stages.imported import parameters

NAME = "transforms.json"
PIECES = ("transforms_train.json", "transforms_val.json", "transforms_test.json")


def frames(folder: Path) -> list[dict]:
    """All frames, each with what is said of all of them where it does not say it itself. Raises StageError.

    Where there are only its pieces (train, val, test), what is in several of them counts once.
    """
    paths = [folder / NAME] if (folder / NAME).is_file() else [p for n in PIECES if (p := folder / n).is_file()]
    if not paths:
        raise StageError("is not there", folder / NAME)
    found: dict[str, dict] = {}
    for path in paths:
        content = _json(path)
        shared = {k: v for k, v in content.items() if k != "frames"}
        for frame in content["frames"]:
            if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
                raise StageError("has a frame without a file_path", path)
            found.setdefault(frame["file_path"], shared | frame)
    return list(found.values())


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as e:
        raise StageError(f"cannot be read: {e}", path) from e
    if not isinstance(content, dict) or not isinstance(content.get("frames"), list):
        raise StageError("has no list of frames", path)
    return content


def number(frame: dict, key: str, path: Path) -> float:
    value = frame.get(key)
    if type(value) not in (int, float) or not np.isfinite(value):
        raise StageError(f"{key} is {value!r}, expected a number", path)
    return float(value)


def size(frame: dict, path: Path) -> tuple[int, int]:
    """Width and height in pixels."""
    return int(number(frame, "w", path)), int(number(frame, "h", path))


def intrinsics(frame: dict, path: Path, from_below: bool = False) -> np.ndarray:
    """(3,3) pixels. `from_below`: cy counts upwards from the lower edge, as where OpenGL's y axis does."""
    w, h = size(frame, path)
    fx = number(frame, "fl_x", path) if "fl_x" in frame else _focal(frame, "camera_angle_x", w, path)
    fy = number(frame, "fl_y", path) if "fl_y" in frame else fx
    cx, cy = (number(frame, k, path) if k in frame else half for k, half in (("cx", w / 2), ("cy", h / 2)))
    return np.array([[fx, 0, cx], [0, fy, h - cy if from_below else cy], [0, 0, 1]])


def _focal(frame: dict, key: str, side: int, path: Path) -> float:
    return side / 2 / float(np.tan(number(frame, key, path) / 2))


def extrinsics(frame: dict, path: Path, opengl: bool) -> tuple[np.ndarray, np.ndarray]:
    """The camera's pose -> OpenCV R (3,3), t (3,) float64. `opengl`: its own axes are x right, y up, z back."""
    pose = parameters.matrix(frame.get("transform_matrix"), "transform_matrix", path, 4)
    turn, place = pose[:3, :3].copy(), pose[:3, 3]
    if opengl:
        turn[:, 1:] *= -1
    return turn.T, -turn.T @ place


def file(folder: Path, frame: dict, key: str) -> Path | None:
    """A file that the frame names; NeRF's own frames leave .png out. None where it names none."""
    said: Any = frame.get(key)
    if not isinstance(said, str):
        return None
    path = folder / said
    return path if path.suffix else path.with_name(f"{path.name}.png")
