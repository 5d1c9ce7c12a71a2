"""train: a drivable avatar, 3D Gaussians on the surface of the tracked head model, moved by the expression."""

from dataclasses import dataclass

from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class TrainConfig:
    iterations: int = option(6000, "training steps")
    resolution: int = option(512, "side of the images it is trained and judged on: 256 or 512")
    warmup: float = option(0.5, "part of the steps that is taken at 256 px, where they cost a third")
    gaussians: int = option(14000, "how many Gaussians")
    mouth_weight: float = option(40.0, "how much more the mouth counts in the loss (FlashAvatar's: 40)")
    views: int = option(1, "frames that a step is taken on at once; each costs as much")
    seed: int = option(0, "what the random numbers start from")
    device: str = option("auto", "auto, cpu or cuda")
    rasteriser: str = option("own", "own, or on CUDA gsplat, where it is installed and can compile")
    checkpoint_every: int = option(500, "steps from a checkpoint, and a point of the curve, to the next")


STAGE = Stage(
    name="train",
    summary="train the avatar: Gaussians on the head model, moved by the expression",
    reads=("dataset", "masks", "refined"),
    writes="avatar",
    config=TrainConfig,
    gpu="optional",
)
