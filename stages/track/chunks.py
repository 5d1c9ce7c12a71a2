"""The frames in runs of up to 100: the unit of work, of resuming and of sharding.

Detector and solver both look beyond a frame (the detector follows the face, the solver smooths). So that a shard and a
resumed run give what an undisturbed one does, each chunk starts by itself a few frames early, and ends a few late.
"""

from dataclasses import dataclass

CHUNK = 100  # frames at most
OVERLAP = 8  # frames that the solver sees of each neighbour: its smoothing reaches less far
WARM_UP = 6  # frames after which a following detector has forgotten where it started, to 0.03 px


@dataclass(frozen=True)
class Chunks:
    """The chunks of a video of `frames` frames, numbered from 0."""

    frames: int

    def __len__(self) -> int:
        """Even, so that two cores end together."""
        return 1 if self.frames < 32 else 2 * -(-self.frames // (2 * CHUNK))

    def span(self, chunk: int) -> tuple[int, int]:
        """Its own frames: first, last + 1; 0-based."""
        return self.frames * chunk // len(self), self.frames * (chunk + 1) // len(self)

    def size(self, chunk: int) -> int:
        first, last = self.span(chunk)
        return last - first

    def reach(self, chunk: int) -> tuple[int, int]:
        """The frames the solver looks at for it."""
        first, last = self.span(chunk)
        return max(first - OVERLAP, 0), min(last + OVERLAP, self.frames)

    def part(self, i: int, n: int) -> range:
        """The chunks of shard i of n; every chunk is in exactly one."""
        return range(len(self) * i // n, len(self) * (i + 1) // n)

    def around(self, part: range) -> range:
        """The chunks whose landmarks a part needs: its neighbours' too."""
        return range(max(part.start - 1, 0), min(part.stop + 1, len(self))) if part else part
