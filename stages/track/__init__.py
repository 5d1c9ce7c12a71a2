"""track: frames in, head model parameters and a camera for each out, in flame-head-tracker's npz schema."""

import re
from dataclasses import dataclass

from stages.contract import Stage, option
from stages.errors import Exit, StageError


@dataclass(frozen=True)
class TrackConfig:
    head_model: str = option("open", "which head model: open or flame")
    landmarks: str = option("face", "which landmarks to fit: core (106), face (179) or all (478)")
    workers: int = option(0, "processes; 0 = one per core", key=False)
    shard: str | None = option(None, "i/N: only the i-th of N parts (from 0); then once without, to publish", key=False)

    def __post_init__(self):
        if self.landmarks not in ("core", "face", "all"):
            what = f"no set of landmarks is called '{self.landmarks}'"
            raise StageError(what, next="Give core, face or all", exit=Exit.USAGE)
        self.part()

    def part(self) -> tuple[int, int]:
        """(i, N) of the shard; (0, 1) is everything."""
        found = re.fullmatch(r"(\d+)/(\d+)", self.shard or "0/1")
        if not found or int(found[1]) >= int(found[2]):
            what = f"'{self.shard}' is no shard"
            raise StageError(what, next="Give i/N, i from 0 to N-1: --shard 0/4", exit=Exit.USAGE)
        return int(found[1]), int(found[2])


STAGE = Stage(
    name="track",
    summary="Fit the head model to the face in every frame.",
    reads=("frames",),
    writes="tracking",
    config=TrackConfig,
)
