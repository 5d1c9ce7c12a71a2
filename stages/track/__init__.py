"""track: frames in, head model parameters and a camera for each out, in flame-head-tracker's npz schema."""

import re
from dataclasses import dataclass

from avatarmake import assets
from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError

KNOWN = {
    "detector": ("auto", "mesh", "landmarker"),
    "eyelids": ("solver", "scores"),
    "landmarks": ("core", "face", "all"),
}


@dataclass(frozen=True)
class TrackConfig:
    head_model: str = option("open", "which head model: open or flame")
    detector: str = option("auto", "mesh, landmarker (the asset face_landmarker), or auto: the latter where it is")
    # On the demo's truth, with the landmarker's landmarks: correlation 0.98 and an error of 0.085 for the solver, 0.965
    # and 0.15 for the scores, which end at 0.66; on a real face the two agree.
    eyelids: str = option("solver", "whose closure: the solver's, or the landmarker's blink scores: solver or scores")
    landmarks: str = option("face", "which landmarks to fit: core (106), face (179) or all (478)")
    refine: bool = option(True, "hold every frame against the person's own texture; without, against landmarks only")
    workers: int = option(0, "processes; 0 = one per core", key=False)
    shard: str | None = option(None, "i/N: only the i-th of N parts (from 0); then once without, to publish", key=False)

    def __post_init__(self):
        for name, known in KNOWN.items():
            if getattr(self, name) not in known:
                what = f"{name} is '{getattr(self, name)}'"
                raise StageError(what, next=f"Give one of {', '.join(known)}", exit=Exit.USAGE)
        if (self.eyelids, self.detector) == ("scores", "mesh"):
            what = "blink scores come from the landmarker, not from the mesh"
            raise StageError(what, next="Give detector auto or landmarker", exit=Exit.USAGE)
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
    assets=lambda config: (
        *(() if config.detector == "mesh" else ("face_landmarker",)),
        *(assets.HEAD_MODEL if config.head_model == "flame" else ()),
    ),
    needs=lambda config: (
        *([("face_landmarker",)] if config.detector == "landmarker" or config.eyelids == "scores" else []),
        *([assets.FLAME] if config.head_model == "flame" else []),
    ),
)
