"""What a reader of a kind found in a folder: frame by frame where the pictures are, what was tracked, which masks.

Nothing is converted yet: sizes and cameras are those of the source. framing.py brings them to 512 x 512.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatarmake.formats.frame import FrameRecord
from avatarmake.formats.tracking import Tracking

PARTS = ("alpha", "neckhead", "mouth")


@dataclass(frozen=True)
class Mask:
    """A file that says which pixels are a part. `of`: its grey value, its alpha channel, or INSTA's colours."""

    path: Path
    of: str = "grey"  # grey | alpha | insta


@dataclass(frozen=True)
class Shot:
    """One frame. `number` is the source's own, from 0; `where` names what was tracked of it, in messages."""

    number: int
    where: str
    record: FrameRecord | None = None
    tracking: Tracking | None = None  # of a kind that convert reads; else it is made of the record
    image: Path | None = None  # None: `Found.pictures` has it
    masks: dict[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """`pictures`: (H,W,3) of every shot in order, where they lie in no file of their own."""

    kind: str
    root: Path
    shots: list[Shot]
    notes: list[str]  # what was dropped, and what is not as it was
    head_model: str = ""  # "": nothing says
    head_model_digest: str = ""
    fps: float | None = None
    pictures: Callable[[], Iterator[np.ndarray]] | None = None
    neck_degrees: float = 0.0  # the largest neck pose that went into the camera

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of which there is a mask for every shot."""
        return tuple(part for part in PARTS if all(part in shot.masks for shot in self.shots))


def numbered(folder: Path, suffixes: Iterable[str], end: str = "") -> dict[int, Path]:
    """The files of a folder that are a number, and perhaps `end` (`_mouth`), by it; 7.png and 00007.jpg clash: the
    first by name counts."""
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = path.stem.removesuffix(end)
        if path.suffix.lower() in suffixes and path.stem.endswith(end) and stem.isascii() and stem.isdecimal():
            found.setdefault(int(stem), path)
    return found


def counted(numbers: Iterable[int], noun: str) -> str:
    """`3 frames (7, 8, 20)`, for notes."""
    numbers = sorted(numbers)
    some = ", ".join(map(str, numbers[:4])) + (" ..." if len(numbers) > 4 else "")
    return f"{len(numbers)} {noun}{'' if len(numbers) == 1 else 's'} ({some})"
