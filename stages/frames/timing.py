"""When each frame is shown. Timestamps are believed as far as they make sense, and what was wrong is said.

Seconds count from the first frame, and they only rise: the tracker smooths over them, and FPS= picks frames by them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

USUAL = 25.0  # frames a second where nothing in the file says
SAME = 0.02  # two rates that differ by less are one: a last frame shown longer, milliseconds rounded


@dataclass
class Rates:
    """What a container says of a stream, frames a second, None where it does not. `seconds`: how long it is."""

    average: float | None
    guessed: float | None
    base: float | None
    seconds: float | None = None

    @property
    def declared(self) -> float:
        return self.average or self.guessed or USUAL

    def doubtful(self, first: Sequence[float]) -> bool:
        """Whether it contradicts itself, or the timestamps of some frames from the start."""
        if self.average and self.guessed and not same(self.average, self.guessed):
            return True
        steps = np.diff(first)
        return bool(len(steps)) and abs(float(np.median(steps)) * self.declared - 1) > 0.1


class Clock:
    """The time of one frame after another, in the order they are shown.

    first: timestamps of some frames from the start, in seconds; None where there is none. From them it is decided
    whether the timestamps are believed at all. `line` says what was not; `mended` counts single ones that did not rise.
    """

    def __init__(self, first: Sequence[float | None], rate: float):
        self.rate = rate
        self.believed = sensible(first)
        self._none = all(stamp is None for stamp in first)
        self.restart()

    def restart(self) -> None:
        self.mended = 0
        self._start: float | None = None
        self._last, self._index = 0.0, -1

    @property
    def line(self) -> str:
        if self.believed:
            return f"{self.mended} of its timestamps do not rise: mended" if self.mended else ""
        why = "has no timestamps" if self._none else "has timestamps that run backwards"
        return f"it {why}: its frames are taken in order, {self.rate:g} a second"

    def time(self, stamp: float | None) -> float:
        """Seconds from the first frame. Call it for every frame that is shown, once."""
        self._index += 1
        if not self.believed:
            return self._index / self.rate
        step = 1 / self.rate
        if self._start is None:
            self._start, self._last = stamp or 0.0, 0.0
            return 0.0
        time = self._last + step if stamp is None else stamp - self._start
        if time <= self._last:
            self.mended += 1
            if self._last - time > 2 * step:  # a recording that was begun anew: it goes on from here
                self._start -= self._last + step - time
                time = self._last + step
            else:  # one stamp is off: the next one counts again
                time = self._last + step / 10
        self._last = time
        return time


def sensible(stamps: Sequence[float | None]) -> bool:
    """Whether timestamps, in the order frames are shown, are there and rise; one that does not is forgiven."""
    if any(stamp is None for stamp in stamps):
        return False
    falls = sum(b <= a for a, b in zip(stamps, stamps[1:], strict=False))
    return falls <= (1 if len(stamps) > 4 else 0)


def rate_by_timestamps(rates: Rates, stamps: Sequence[float]) -> float:
    """Frames a second, from all timestamps of a stream (any order) where the container contradicts itself.

    Its average holds where that many frames do come in that time, evenly or not. Else it is the usual distance.
    """
    stamps = np.unique(np.asarray(stamps, float))
    steps = np.diff(stamps)
    if not len(steps):
        return rates.declared
    usual = float(np.median(steps))
    if rates.average and same(rates.average, len(stamps) / (stamps[-1] - stamps[0] + usual)):
        return rates.average
    usual = float(steps[np.abs(steps - usual) < usual / 4].mean())  # of 33 and 34 ms, not 33
    return _nearest(rates, 1 / usual) or 1 / usual


def rate_by_count(rates: Rates, frames: int) -> float:
    """Frames a second where timestamps are not to be believed: so many frames in the time the container states."""
    counted = frames / rates.seconds if rates.seconds else None
    return (_nearest(rates, counted) if counted else None) or rates.guessed or rates.declared


def same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * b


def _nearest(rates: Rates, rate: float) -> float | None:
    """The container's own figure (30000/1001) for a measured rate, if it is one of them."""
    stated = [r for r in (rates.average, rates.guessed, rates.base) if r and same(r, rate)]
    return min(stated, key=lambda r: abs(r - rate), default=None)
