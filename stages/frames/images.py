"""A folder of images, or numbered ones, in place of a video: which they are. No more than Python: the host asks too."""

import math
import os
import re
from pathlib import Path

from avatarmake.errors import Exit, StageError
from avatarmake.files import inputs

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg", ".ts")


def images(path: Path) -> list[Path] | None:
    """The images in their order; None for a path that is neither a folder nor numbered files (%05d.png).

    Raises StageError when there are none, or when their order is not clear.
    """
    numbered = inputs.is_numbered(path)
    if not os.path.isdir(inputs.place(path)):  # pathlib's raises for a name that is too long
        return None
    found = inputs.files(path)
    chosen = found if numbered else [p for p in found if p.suffix.lower() in SUFFIXES]
    if not chosen:
        raise StageError(*_none(path, numbered), Exit.USAGE)
    twice = _twice(chosen)
    if twice:
        what = f"has two images of one name, {twice[0].name} and {twice[1].name}"
        raise StageError(what, path, f"Say which: VIDEO={path}/%05d{twice[1].suffix}", Exit.USAGE)
    return chosen


def gaps(files: list[Path]) -> int:
    """How many numbers are missing between the first and the last, where only a number tells the names apart."""
    parts = [re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", p.name) for p in files]
    if not all(parts) or len({p[1] for p in parts}) > 1:
        return 0
    numbers = [int(p[2]) for p in parts]
    step = math.gcd(*(b - a for a, b in zip(numbers, numbers[1:], strict=False)))
    return (numbers[-1] - numbers[0]) // step + 1 - len(numbers) if step else 0


def _twice(files: list[Path]) -> tuple[Path, Path] | None:
    seen: dict[str, Path] = {}
    for path in files:
        if path.stem in seen:
            return seen[path.stem], path
        seen[path.stem] = path
    return None


def _none(path: Path, numbered: bool) -> tuple[str, Path, str]:
    """What is wrong, where, and what to do, where there is no image."""
    there = inputs.files(inputs.place(path))
    videos = [p for p in there if p.suffix.lower() in VIDEOS]
    likely = [p for p in there if p.suffix.lower() in SUFFIXES]
    if numbered:
        holds = f"; the folder holds {likely[0].name} and {len(likely) - 1} more images" if likely else ""
        return f"no file has a name like that{holds}", path, "Give VIDEO=folder, or a name like %05d.png"
    advice = f"Give the video itself: VIDEO={videos[0]}" if videos else "Give a video, or a folder that holds images"
    return f"is a folder without images ({', '.join(s[1:] for s in SUFFIXES)})", path, advice
