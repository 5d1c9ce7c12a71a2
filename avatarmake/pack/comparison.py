"""A stage then and now: the same bytes, the same figures within tolerance, or something else; and what was promised."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from avatarmake.contract.receipts import listed
from avatarmake.pack import figures, surroundings
from avatarmake.pack.figures import Figure
from avatarmake.pack.surroundings import Difference


class Verdict(StrEnum):
    BYTES = "same bytes"
    FIGURES = "same figures"
    DIFFERS = "differs"
    GIVEN = "taken from the pack"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Outcome:
    """What became of one directory. `files`: how many are not the same bytes; `why`: of what failed or was not run."""

    stage: str
    directory: str
    verdict: Verdict
    promised: Verdict = Verdict.FIGURES
    files: list[str] = field(default_factory=list)
    of: int = 0
    figures: list[Figure] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    seconds: tuple[float, float] = (0.0, 0.0)
    why: str = ""

    @property
    def kept(self) -> bool:
        """Whether it came out as it was promised to."""
        good = {Verdict.BYTES, Verdict.GIVEN, Verdict.NOT_RUN}
        return self.verdict in (good if self.promised is Verdict.BYTES else good | {Verdict.FIGURES})

    @property
    def off(self) -> list[Figure]:
        """Figures that are not within tolerance, the farthest off first."""
        return sorted((f for f in self.figures if not f.holds), key=lambda f: -f.share)

    @property
    def nearest_to_its_limit(self) -> Figure | None:
        changed = [f for f in self.figures if f.difference]
        return max(changed, key=lambda f: f.share, default=None)


def compare(stage: str, directory: str, then: tuple[dict, Path], now: tuple[dict, Path]) -> Outcome:
    """Two finished directories by their receipts. Each is (receipt, where it and its list of files are)."""
    (a, before), (b, after) = then, now
    sums = listed(before), listed(after)
    changed = sorted(name for name in sums[0].keys() | sums[1].keys() if sums[0].get(name) != sums[1].get(name))
    said = figures.compared(figures.of(a, before), figures.of(b, after))
    same = Verdict.FIGURES if all(figure.holds for figure in said) else Verdict.DIFFERS
    return Outcome(
        stage,
        directory,
        same if changed else Verdict.BYTES,
        Verdict.BYTES if surroundings.bytes_are_promised(a, b) else Verdict.FIGURES,
        changed,
        len(sums[0].keys() | sums[1].keys()),
        said,
        surroundings.differences(a, b),
        (float(a.get("seconds", 0)), float(b.get("seconds", 0))),
    )
