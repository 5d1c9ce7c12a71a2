"""What comes out elsewhere, with how far one run may be from it: reference.json, by `python -m bench.verify_reference`.

A figure's tolerance comes from the spread of the runs that the reference was made of (seeds, and processors with other
instructions): one more run of the same kind lies within it 999 times of 1,000, by Student's t of so many runs.
"""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("reference.json")
# Two-sided 0.999 quantile of Student's t by degrees of freedom (tables of the distribution)
STUDENT = {2: 31.6, 3: 12.9, 4: 8.61, 5: 6.87, 6: 5.96, 7: 5.41, 8: 5.04, 9: 4.78, 10: 4.59, 11: 4.44, 12: 4.32}
# Of the figure: where runs did not differ at all, those on another machine still may. MediaPipe's networks choose their
# kernels by the processor and let nobody tell them otherwise.
LEAST = 0.01


@dataclass(frozen=True)
class Figure:
    mean: float
    tolerance: float


@dataclass(frozen=True)
class Difference:
    """A figure that is not as it is elsewhere; `value` None: it is not there, `figure` None: it is there alone."""

    name: str
    value: float | None
    figure: Figure | None

    def __str__(self) -> str:
        if self.figure is None or self.value is None:
            return f"{self.name} is {'missing' if self.value is None else 'unknown to the reference'}"
        off, allowed = abs(self.value - self.figure.mean), self.figure.tolerance
        words = f"{self.name} {self.value:.4g} instead of {self.figure.mean:.4g}"
        return f"{words}, off by {off:.2g} where {allowed:.2g} may be"


@dataclass(frozen=True)
class Reference:
    options: dict[str, list[str]]  # stage -> the options that it is run with
    figures: dict[str, Figure]
    made: dict[str, object]  # when, on what, of how many runs

    @classmethod
    def read(cls, path: Path = FILE) -> "Reference":
        said = json.loads(path.read_text())
        return cls(said["options"], {name: Figure(*pair) for name, pair in said["figures"].items()}, said["made"])

    def differences(self, figures: dict[str, float]) -> list[Difference]:
        """Those of a run's figures that are out of tolerance, missing, or unknown."""
        names = sorted(self.figures.keys() | figures.keys())
        compared = [Difference(name, figures.get(name), self.figures.get(name)) for name in names]
        return [one for one in compared if not _fits(one)]


def _fits(one: Difference) -> bool:
    if one.figure is None or one.value is None or not math.isfinite(one.value):
        return False
    return abs(one.value - one.figure.mean) <= one.figure.tolerance


def figure(values: list[float]) -> Figure:
    """Mean and tolerance of what runs of one kind gave. Three runs at least."""
    mean, runs = statistics.fmean(values), len(values)
    student = STUDENT[min(runs - 1, max(STUDENT))]
    spread = student * statistics.stdev(values) * math.sqrt(1 + 1 / runs)
    return Figure(_rounded(mean, 7), _rounded(max(spread, LEAST * abs(mean)), 3))


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
