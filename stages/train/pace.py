"""How many threads a step is given: as many as pay, which beside other work may be one.

A step waits for its threads a dozen times. On a quiet machine two take half of one's time; where others want the cores,
each wait lasts until the last thread had its turn, and a step of two was seen to take ten times as long as one's. So
both are tried again and again. What comes out is the same, see avatarmake/avatar/rasteriser.py.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TRIAL = 4  # steps with each number of threads
AGAIN = 1000  # steps from one trial to the next


@dataclass
class Pace:
    """Calls that are timed, with `counts` of threads to choose from; `allot` sets how many there are."""

    counts: tuple[int, ...]
    allot: Callable[[int], None]
    clock: Callable[[], float] = time.perf_counter
    calls: int = 0
    times: dict = field(default_factory=dict)

    def __call__(self, step: Callable):
        """-> what step() gives."""
        trial, at = divmod(self.calls % AGAIN, TRIAL)
        self.calls += 1
        if len(self.counts) > 1 and at == 0 and trial <= len(self.counts):
            self.allot(self.counts[trial] if trial < len(self.counts) else self.fastest())
        start = self.clock()
        result = step()
        if trial < len(self.counts):
            self.times.setdefault(self.counts[trial], [])[at:] = [self.clock() - start]
        return result

    def fastest(self) -> int:
        return min(self.counts, key=lambda count: statistics.median(self.times[count]))
