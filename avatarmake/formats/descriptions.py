"""crop.json, tracker.json and index.json: what stages tell each other in words. Read with the standard library alone.

What a reader needs is there and of the right kind, or the file is named with the target that writes it again; keys that
it does not know are let through. A user may have edited them, and a copied folder may have lost half of them.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avatarmake.errors import StageError

LARGEST = 1 << 30  # of the numbers that count frames or pixels: what is beyond is a mistake
Check = tuple[str, Callable[[Any], bool]]  # what is expected, in words, and whether it is so


def _whole(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value < LARGEST


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _rising(least: int) -> Check:
    def check(value: Any) -> bool:
        good = isinstance(value, list) and all(_whole(v, least) for v in value)
        return good and all(a < b for a, b in zip(value, value[1:], strict=False))

    return f"whole numbers from {least} that rise", check


def _box(value: Any) -> bool:
    """A box may reach outside the frame: a head near its edge, a face followed across a cut."""
    return isinstance(value, list) and len(value) == 3 and all(_whole(v, -LARGEST) for v in value) and value[2] > 0


def _size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_whole(v, 1) for v in value)


TEXT: Check = ("a text", lambda v: isinstance(v, str))
RATE: Check = ("a number above 0", lambda v: _number(v) and 0 < v < LARGEST)
TIMES: Check = ("numbers", lambda v: isinstance(v, list) and all(map(_number, v)))
SIZE: Check = ("width and height in pixels", _size)
BOX: Check = ("x, y and side in pixels", _box)
VIDEO: Check = ("width and height", lambda v: isinstance(v, dict) and _size([v.get("width"), v.get("height")]))
CUT: Check = ("size and box", lambda v: isinstance(v, dict) and _size(v.get("size")) and _box(v.get("box")))

CROP = {"source": VIDEO, "box": BOX, "fps": RATE, "source_frames": _rising(0), "times": TIMES}
TRACKER = {"head_model": TEXT, "head_model_digest": TEXT, "tracked": _rising(0)}
INDEX = {
    "head_model": TEXT,
    "head_model_digest": TEXT,
    "images": _rising(1),
    "image_size": SIZE,
    "source": CUT,
    "fps": RATE,
    "focal": RATE,
    "source_frames": _rising(0),
    "times": TIMES,
}
OLD = {"source"}  # keys that datasets of an earlier release lack
ALIKE = ("images", "source_frames", "times")  # as many of the one as of the other


def read_crop(path: Path, subject: str, *need: str) -> dict:
    """frames/crop.json; `need` are the keys that must be there. Raises StageError."""
    return _read(path, CROP, need or tuple(CROP), f"Run: make frames ID={subject}")


def read_tracker(path: Path, subject: str) -> dict:
    """tracking/tracker.json, likewise."""
    return _read(path, TRACKER, ("head_model",), f"Run: make track ID={subject}")


def read_index(path: Path, subject: str) -> dict:
    """dataset/index.json, likewise."""
    return _read(path, INDEX, tuple(INDEX.keys() - OLD), f"Run: make convert ID={subject}")


def _read(path: Path, checks: dict[str, Check], need: tuple[str, ...], again: str) -> dict:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as e:
        raise StageError(f"cannot be read: {e}", path, again) from e
    if not isinstance(content, dict):
        raise StageError(f"holds a {type(content).__name__}, expected an object", path, again)
    for key, (expected, good) in checks.items():
        if key not in content and key in need:
            raise StageError(f"cannot be read: it has no {key}", path, again)
        if key in content and not good(content[key]):
            raise StageError(f"cannot be read: {key} is {_short(content[key])}, expected {expected}", path, again)
    counts = {key: len(content[key]) for key in ALIKE if key in content and key in checks}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} {key}" for key, count in counts.items())
        raise StageError(f"cannot be read: it has {told}", path, again)
    return content


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."
