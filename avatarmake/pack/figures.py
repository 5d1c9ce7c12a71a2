"""Figures of two runs of a stage, side by side: which ones there are, and by how much they may differ.

A figure is any number that a stage says of its result: among the facts of its receipt, in metrics.json, in
evaluation.json. What it says of its own run (seconds, milliseconds a frame) is none, nor is a single frame's.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avatarmake.errors import StageError
from avatarmake.pack.contents import FIGURES

NONE = r"(^|\.)(seconds|\w+_seconds|ms_per_frame|iterations|identity_iterations|per_frame)(\.|$)"
# What another processor may make of the same inputs: name -> how far off, in the figure's own unit. The first that fits
# counts. Of an avatar it is what another seed makes of it on the same processor: bench/RECORD.md, Reproduction
TOLERANCES = (
    (r"psnr_\w+$", 0.7),  # dB
    (r"ssim$", 0.01),
    (r"edge_share$", 0.05),
    (r"correlation(\.\w+)?$|face_motion_explained$|_iou$", 0.02),
    (r"refined\.(landmark_error_px|rotation_error_degrees)\.\w+$", 0.4),
    (r"landmark_error_(px|pct)\.\w+$", 0.1),
    (r"rotation_error_degrees\.\w+$", 0.2),
    (r"translation_error_mm\.\w+$", 5.0),
    (r"jitter_px(_raw|\.\w+)?$|edge_px$", 0.05),
    (r"moved_px$", 0.4),
    (r"turned_degrees$", 0.2),
    (r"reprojection_px_\w+$", 0.005),
    (r"focal_error_pct$", 0.5),
    (r"_sad$", 0.05),
)
RELATIVE = 0.01  # of all other numbers that are not whole
COUNTS = 0.0  # whole numbers are counts, options or labels: these are the same or it is another result


@dataclass(frozen=True)
class Figure:
    """One figure, then and now; None where one of the runs has none. `allowed`: by how much they may differ."""

    name: str
    then: object
    now: object
    allowed: float

    @property
    def difference(self) -> float:
        """0 for what is the same, infinite for what cannot be compared."""
        if self.then == self.now or _nan(self.then) and _nan(self.now):
            return 0.0
        if not _number(self.then) or not _number(self.now):
            return math.inf
        return abs(self.now - self.then)

    @property
    def holds(self) -> bool:
        return self.difference <= self.allowed

    @property
    def share(self) -> float:
        """Of what is allowed: above 1 it does not hold."""
        return self.difference / self.allowed if self.allowed else math.inf if self.difference else 0.0


def compared(then: dict[str, object], now: dict[str, object]) -> list[Figure]:
    """All figures of both runs by name, in the order of the first run's."""
    names = list(dict.fromkeys([*then, *now]))
    return [Figure(n, then.get(n), now.get(n), allowed(n, then.get(n), now.get(n))) for n in names]


def allowed(name: str, then: object, now: object) -> float:
    """By how much a figure may differ on another processor."""
    if tolerance := next((value for pattern, value in TOLERANCES if re.search(pattern, name)), None):
        return tolerance
    if isinstance(then, float) or isinstance(now, float):
        return RELATIVE * max(abs(x) for x in (then, now) if _number(x))
    return COUNTS


def of(stamp: dict, directory: Path) -> dict[str, object]:
    """The figures of a finished directory: name -> number, or another plain value (a word, true, none)."""
    found = dict(_leaves("", stamp.get("facts", {})))
    for name in FIGURES:
        if (directory / name).is_file():
            found |= dict(_leaves(f"{name}: ", _read(directory / name)))
    return found


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (ValueError, RecursionError) as e:
        raise StageError(f"cannot be read: {e}", path) from e


def _leaves(before: str, value: object) -> Iterator[tuple[str, object]]:
    """Plain values by their path in it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{before}{name}" if before.endswith(": ") or not before else f"{before}.{name}", inner)
    elif re.search(NONE, before.split(": ")[-1]):
        return
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(f"{before}.{place}", inner)
    else:
        yield before, value


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
