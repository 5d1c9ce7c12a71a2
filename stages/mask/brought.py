"""Masks that somebody brought, to be audited: which file is which image's, by its number and by how it moves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import alpha_mask, parsing_mask
from avatarmake.errors import StageError
from avatarmake.formats.images import read_mask
from stages.mask import agreement
from stages.mask.framing import Source
from stages.mask.geometry import HeadView

PARTS = ("alpha", "neckhead", "mouth")


def mask_file(root: Path, number: int, part: str) -> Path:
    return alpha_mask(root, number) if part == "alpha" else parsing_mask(root, number, part)


@dataclass(frozen=True)
class Brought:
    """A masks/ directory to audit. Image n's file of a part is that of the number n + shifts[part]."""

    root: Path
    shifts: dict[str, int]
    source: Source | None = None  # where there may be masks of whole frames

    def file(self, number: int, part: str) -> Path:
        return mask_file(self.root, number + self.shifts[part], part)


def found(root: Path, index: dict, views: Callable[[list[int]], list[HeadView]]) -> Brought:
    """What is in `root`; says which files it takes for image 1. views: the heads of some images."""
    count, source = len(index["images"]), Source.of(index)
    sample = agreement.neighbours(list(range(1, count + 1)))
    names = {path.relative_to(root).as_posix() for path in root.glob("*/*")}
    shifts = {}
    for part in PARTS:
        there = {n for n in range(count + 1) if mask_file(Path(), n, part).as_posix() in names}
        shifts[part] = -1 if 0 in there and count not in there else 0
    by_name = dict(shifts)
    extra = _as_it_moves(Brought(root, shifts), sample, views(sample))
    shifts = {part: shift + (extra if shift == by_name["mouth"] else 0) for part, shift in by_name.items()}
    for part, shift in shifts.items():
        if shift:
            why = "numbered from 0" if shift == by_name[part] else "as they move with the head"
            print(f"mask: {part}: the file of image 1 is {mask_file(Path(), 1 + shift, part)}, {why}")
    return Brought(root, shifts, source)


def _as_it_moves(by_name: Brought, sample: list[int], views: list[HeadView]) -> int:
    """How many numbers further the mouth masks are that follow the tracked lips: -1, 0, 1."""
    centres: dict[int, np.ndarray] = {}
    for n in {n + s for n in sample for s in agreement.SHIFTS}:
        try:
            centres[n] = agreement.centre(read_mask(by_name.file(n, "mouth")) > 0)
        except StageError:  # absent or no mask: the audit says so
            centres[n] = np.full(2, np.nan)
    heads = np.array([view.mouth for view in views])
    return agreement.better_shift({s: np.array([centres[n + s] for n in sample]) for s in agreement.SHIFTS}, heads)
