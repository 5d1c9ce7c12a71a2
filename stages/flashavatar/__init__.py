"""flashavatar: the upstream FlashAvatar, patched, in the place of our own trainer; it writes what train writes."""

from dataclasses import dataclass

from avatarmake import assets
from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError

PERCEPTION = 15_000  # steps after which LPIPS joins the loss
READS = (assets.FLAME, *((name,) for name in (*assets.ABOUT_FLAME["eyelids"], *assets.ABOUT_FLAME["regions"])))
LPIPS = (("vgg16",), ("lpips_vgg",))
GROUNDS = {"white": (1.0, 1.0, 1.0), "green": (0.0, 1.0, 0.0)}


@dataclass(frozen=True)
class FlashAvatarConfig:
    iterations: int = option(150_000, "training steps, one frame each")
    resolution: int = option(512, "side of the images it is trained and judged on: 256 or 512")
    ground: str = option("white", "what it is trained over: white, or green (upstream's own unless told otherwise)")
    seed: int = option(0, "what the random numbers start from")
    device: str = option("auto", "auto, cpu or cuda")
    checkpoint_every: int = option(500, "steps from a checkpoint, and a point of the curve, to the next")

    def __post_init__(self):
        checks = {
            "iterations": (self.iterations >= 1, "1 or more"),
            "resolution": (self.resolution in (256, 512), "256 or 512"),
            "ground": (self.ground in GROUNDS, " or ".join(GROUNDS)),
            "device": (self.device in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
            "checkpoint_every": (self.checkpoint_every >= 1, "1 or more"),
        }
        for name, (good, known) in checks.items():
            if not good:
                raise StageError(f"{name} is '{getattr(self, name)}'", next=f"Give {known}", exit=Exit.USAGE)

    @property
    def perceives(self) -> bool:
        """Whether it trains for so long that LPIPS joins the loss."""
        return self.iterations > PERCEPTION


def needs(config: FlashAvatarConfig) -> tuple[tuple[str, ...], ...]:
    return (*READS, *(LPIPS if config.perceives else ()))


STAGE = Stage(
    name="flashavatar",
    summary="Train the avatar with upstream's FlashAvatar.",
    reads=("dataset", "masks", "refined"),
    writes="avatar",
    config=FlashAvatarConfig,
    gpu="optional",
    upstream="FlashAvatar",
    assets=lambda config: (*(name for names in needs(config) for name in names), "flashavatar_mesh"),
    needs=needs,
    uses=("train",),
)
