"""ARKit's 52 blendshapes as a driver: a CSV with a column for each, as Live Link Face and MediaPipe's users write them.

Columns are told by their names, whatever their case and order: EyeBlinkLeft and eyeBlinkLeft are one. What a shape does
to the open head is in arkit.csv, which arkit_table.py makes. Time is `Timecode` (hours:minutes:seconds:frames, as Live
Link Face has it), or seconds or milliseconds by their usual names.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import Avatar
from avatarmake.avatar.performance import Performance
from avatarmake.errors import StageError
from stages.drive.transfer import still

TABLE = Path(__file__).parent / "arkit.csv"
SIZES = {"expression": 100, "jaw_pose": 3, "eye_pose": 6, "eyelids": 2}
SECONDS, MILLISECONDS = ("time", "times", "timestamp", "seconds", "t"), ("timestamp_ms", "time_ms", "timestampms", "ms")
RATES = (24, 25, 30, 60, 120)  # frames a second that a time code may count by
FEWEST = 26  # of the 52: with fewer columns it is some other file
DAY = 86400.0


@lru_cache(1)
def table() -> dict[str, np.ndarray]:
    """Shape in lower case -> what it adds at 1 to expression, jaw, gaze and lids (111,)."""
    starts = dict(zip(SIZES, np.cumsum([0, *SIZES.values()]), strict=False))
    rows: dict[str, np.ndarray] = {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            values = rows.setdefault(row["shape"].lower(), np.zeros(sum(SIZES.values()), np.float32))
            if row["group"]:
                values[starts[row["group"]] + int(row["column"])] = float(row["value"])
    return rows


def parameters(shapes: np.ndarray, names: list[str]) -> Parameters:
    """(F,K) of the shapes named, in lower case -> (F,...) for a head whose rest is zero."""
    mapped = shapes @ np.stack([table()[name] for name in names])
    parts = np.split(mapped.astype(np.float32), np.cumsum([*SIZES.values()])[:-1], 1)
    return Parameters(*parts[:3], np.clip(parts[3], 0, 1))


def read(path: Path, avatar: Avatar, own: Performance) -> Performance:
    """Raises StageError that says what is missing. The head is where the avatar's mostly is."""
    if avatar.head_model != "open":
        what = f"ARKit's blendshapes are mapped to the open head, and the avatar of {avatar.name} stands on another"
        raise StageError(what, path, f"Track it with ours: make track ID={avatar.name} HEAD_MODEL=open")
    times, shapes, names = columns(path)
    p = parameters(shapes, names)
    steps = np.diff(times)
    fps = float(1 / np.median(steps)) if len(steps) else 25.0
    rotation, translation = still(own, len(times))
    made = dict(zip(Parameters._fields, p, strict=True))
    return replace(own, fps=fps, times=times - times[0], R=rotation, t=translation, **made)


def columns(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """-> times (F,) seconds, rising; (F,K); the names of the shapes, in lower case."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [name.strip().lower() for name in next(rows, [])]
            shapes = [k for k, name in enumerate(header) if name in table()]
            if len(shapes) < FEWEST:
                what = f"has columns for {len(shapes)} of ARKit's 52 blendshapes"
                raise StageError(what, path, "Its first line must name them: EyeBlinkLeft, JawOpen, ...")
            clock = _clock(header, path)
            read = list(_rows(rows, clock, shapes, path))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise StageError(f"cannot be read: {e}", path) from e
    if not read:
        raise StageError("has no row with a face", path)
    times = _seconds([row[0] for row in read], header[clock], path)
    rising = np.concatenate([[True], times[1:] > np.maximum.accumulate(times)[:-1]])
    return times[rising], np.array([row[1] for row in read], np.float32)[rising], [header[k] for k in shapes]


def _clock(header: list[str], path: Path) -> int:
    known = ("timecode", *SECONDS, *MILLISECONDS)
    found = next((header.index(name) for name in known if name in header), None)
    if found is None:
        raise StageError("has no column that says when: Timecode, time (s) or timestamp_ms", path, "Add one of them")
    return found


def _rows(rows, clock: int, shapes: list[int], path: Path) -> Iterator[tuple[str, list[float]]]:
    """What is there of each row with a face; a row without one has nothing in these columns."""
    for number, row in enumerate(rows, 2):
        values = [row[k].strip() if k < len(row) else "" for k in shapes]
        if not any(values):
            continue
        try:
            numbers = [float(v or 0) for v in values]
            if not np.isfinite(numbers).all():
                raise ValueError("not finite")
            yield row[clock].strip(), numbers
        except (ValueError, IndexError) as e:
            raise StageError(f"line {number} cannot be read: {e}", path) from e


def _seconds(words: list[str], name: str, path: Path) -> np.ndarray:
    """Of the column `name`."""
    if name != "timecode":
        try:
            return np.array([float(word) for word in words]) * (1e-3 if name in MILLISECONDS else 1)
        except ValueError as e:
            raise StageError(f"{name} is no number: {e}", path) from e
    parts = [re.fullmatch(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)", word) for word in words]
    if wrong := next((word for word, part in zip(words, parts, strict=True) if part is None), None):
        raise StageError(f"Timecode is '{wrong}', expected hours:minutes:seconds:frames", path)
    hours, minutes, seconds, frames = np.array([[float(x) for x in part.groups()] for part in parts]).T
    rate = next((r for r in RATES if frames.max() < r), RATES[-1])
    times = 3600 * hours + 60 * minutes + seconds + frames / rate
    return times + DAY * np.concatenate([[0], np.cumsum(np.diff(times) < -DAY / 2)])
