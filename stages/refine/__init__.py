"""refine: every frame's camera once more, where a small avatar of the training frames looks most like its picture."""

from dataclasses import dataclass

from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError


@dataclass(frozen=True)
class RefineConfig:
    refine: bool = option(True, "hold every frame against a small avatar; without, cameras stay as they were tracked")
    iterations: int = option(1500, "training steps of the small avatar")
    gaussians: int = option(6000, "how many Gaussians it has")
    seed: int = option(0, "what the random numbers start from")

    def __post_init__(self):
        if self.iterations < 1 or self.gaussians < 1:
            raise StageError("there must be at least one step and one Gaussian", exit=Exit.USAGE)


STAGE = Stage(
    name="refine",
    summary="Find every frame's camera by a small avatar of the person, held against its picture.",
    reads=("dataset", "masks"),
    writes="refined",
    config=RefineConfig,
    uses=("train",),
)
