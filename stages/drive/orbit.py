"""Where the camera stands, seen from the head: YAW=, CAMERA=orbit, a way in a file. The light stays with the head."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avatarmake.errors import StageError
from avatarmake.geometry import rotations

SWING, PERIOD = np.radians(35), 8.0  # how far to either side, and how many seconds there and back
COLUMNS = {"time": None, "yaw": 0.0, "pitch": 0.0, "zoom": 1.0}  # of a file, and what one that is missing is
NEAREST = 8.0  # times as near as the video's own camera, or as far


class Way(NamedTuple):
    """Of F frames: radians to the subject's left and upwards, and how many times as near."""

    yaw: np.ndarray
    pitch: np.ndarray
    zoom: np.ndarray


def way(config, times: np.ndarray) -> Way:
    """Raises StageError for a file that is none."""
    found = Way(0 * times, 0 * times, 1 + 0 * times)
    if config.camera == "orbit":
        found = found._replace(yaw=SWING * np.sin(2 * np.pi * (times - times[0]) / PERIOD))
    elif config.way is not None:
        found = read(Path(config.way), times - times[0])
    return found._replace(yaw=found.yaw + np.radians(config.yaw))


def read(path: Path, times: np.ndarray) -> Way:
    """A .csv with columns time (s), yaw, pitch (degrees), zoom, at `times` (F,): in between straight, beyond held."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            header = {(name or "").strip().lower(): name for name in rows.fieldnames or []}
            if "time" not in header or not header.keys() & {"yaw", "pitch", "zoom"}:
                raise StageError("is no way of a camera", path, "Its first line must be: time,yaw,pitch,zoom")
            parts = [[float(row[header[n]]) if n in header else d for n, d in COLUMNS.items()] for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError) as e:
        raise StageError(f"cannot be read: {e}", path) from e
    table = np.array(parts, np.float64).reshape(-1, len(COLUMNS))
    if not len(table) or not np.isfinite(table).all() or (np.diff(table[:, 0]) <= 0).any():
        raise StageError("has no rows of numbers whose times rise", path)
    if (np.abs(np.log(np.maximum(table[:, 3], 1e-9))) > np.log(NEAREST)).any():
        raise StageError(f"zoom must be 1/{NEAREST:.0f} to {NEAREST:.0f}", path)
    yaw, pitch, zoom = (np.interp(times, table[:, 0], column) for column in table[:, 1:].T)
    return Way(np.radians(yaw), np.radians(pitch), zoom)


def around(
    rotation: np.ndarray, translation: np.ndarray, pivot: np.ndarray, yaw: float, pitch: float = 0, zoom: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera (3,3), (3,) of a camera that goes round `pivot` (3,) by yaw to the subject's left and by pitch
    upwards, and is `zoom` times as near: the head turns about its own axes by as much the other way."""
    up, left = (rotations.matrix_from_axis_angle(np.array(turn)) for turn in ([pitch, 0, 0], [0, -yaw, 0]))
    turned = rotation @ up @ left
    place = (rotation @ pivot + translation) / [1, 1, zoom]
    return turned.astype(np.float32), (place - turned @ pivot).astype(np.float32)
