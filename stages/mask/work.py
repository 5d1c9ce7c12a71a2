"""The work on one run of images, as a process does it: make what is missing, or audit and mend what is there."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avatarmake.formats.images import read_mask, write_jpeg
from stages.mask import audit
from stages.mask.brought import PARTS, Brought, mask_file
from stages.mask.png import write_mask
from stages.mask.source import MaskSource, Plan


@dataclass(frozen=True)
class Finding:
    """One fault of one file of the masks that were there. `mended`: its outline was kept, its form set right."""

    number: int
    part: str
    fault: str
    mended: bool


@dataclass(frozen=True)
class Done:
    """What a run of images came to. Areas are in pixels."""

    numbers: range
    neckhead: list[int]
    mouth: list[int]
    findings: list[Finding]


class Worker:
    """`old` is what to audit, or None to make all masks anew. Files that are in `out` already stay."""

    def __init__(self, plan: Plan, out: Path, old: Brought | None):
        self._source = MaskSource(plan)
        self._out, self._old = out, old

    def close(self) -> None:
        self._source.close()

    def work(self, numbers: range) -> Done:
        done = Done(numbers, [], [], [])
        absent = {n: [p for p in PARTS if not mask_file(self._out, n, p).exists()] for n in numbers}
        views = [None] * len(numbers)
        if self._old is not None or any(absent.values()):
            views = self._source.views(list(numbers))
        for number, view in zip(numbers, views, strict=True):
            masks = {}
            if self._old is not None:
                masks |= self._audit(number, view, absent[number], done.findings)
            if absent[number]:
                made = self._source.make(number, view, frozenset(absent[number]))
                self._write(number, made)
                masks |= made
            for part, areas in (("neckhead", done.neckhead), ("mouth", done.mouth)):
                mask = masks[part] if part in masks else read_mask(mask_file(self._out, number, part))
                areas.append(cv2.countNonZero(mask))
        return done

    def _audit(self, number: int, view, absent: list[str], findings: list[Finding]) -> dict[str, np.ndarray]:
        """Judge the three files of an image; take over what is good or can be mended from `absent` into `out`.

        -> the masks that are now in `out` because of it.
        """
        labels = self._source.labels(number)
        taken = {}
        for part in PARTS:
            path = self._old.file(number, part)
            opinion = audit.inspect(path, part, view, labels, self._old.source)
            mended = opinion.mask is not None
            faults = (*opinion.faults, "wrong_number") if self._old.shifts[part] and mended else opinion.faults
            findings.extend(Finding(number, part, fault, mended) for fault in faults)
            if part not in absent or not mended:
                continue
            if opinion.faults:
                self._write(number, {part: opinion.mask})
            else:
                take_over(path, mask_file(self._out, number, part))
            taken[part] = opinion.mask
            absent.remove(part)
        return taken

    def _write(self, number: int, masks: dict[str, np.ndarray]) -> None:
        for part, mask in masks.items():
            (write_jpeg if part == "alpha" else write_mask)(mask_file(self._out, number, part), mask)


def take_over(old: Path, new: Path) -> None:
    """The same file under another name: a hard link where the volume knows them."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if new.exists():
        return
    old = old.resolve()  # a link's content, not the link
    try:
        os.link(old, new)
    except OSError:
        shutil.copy2(old, new)


# --- in worker processes -------------------------------------------------------------------------------------------

_worker: Worker


def begin(plan: Plan, out: Path, old: Brought | None) -> None:
    global _worker
    _worker = Worker(plan, out, old)


def work(numbers: range) -> Done:
    return _worker.work(numbers)
