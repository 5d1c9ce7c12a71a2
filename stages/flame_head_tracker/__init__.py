"""flame_head_tracker: the upstream flame-head-tracker v4.1, patched, in landmark mode; it writes what track writes."""

from dataclasses import dataclass

from avatarmake import assets
from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError

READS = ("face_landmarker", "flame2020", "flame_landmark_embedding", "deca", "mica")  # without these it does not run
# tracker.json has the digest of our own FLAME, which these say more about
ABOUT = tuple(name for names in assets.ABOUT_FLAME.values() for name in names)


@dataclass(frozen=True)
class FlameHeadTrackerConfig:
    device: str = option("auto", "auto, cpu or cuda")
    batch_size: int = option(16, "frames fitted, and smoothed, together: memory grows with it")
    iterations: int = option(200, "steps of expression, jaw and eyes; the learning rate drops at half")
    rigid_iterations: int = option(1500, "steps of the camera's pose; the learning rate drops at two thirds")
    fov: float = option(20.0, "field of view of the square crop in degrees, the same for all frames")

    def __post_init__(self):
        checks = {
            "device": (self.device in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "iterations": (self.iterations >= 2, "2 or more"),
            "rigid_iterations": (self.rigid_iterations >= 2, "2 or more"),
            "fov": (10 <= self.fov <= 50, "10 to 50, which is all that upstream fits"),
        }
        for name, (good, known) in checks.items():
            if not good:
                raise StageError(f"{name} is '{getattr(self, name)}'", next=f"Give {known}", exit=Exit.USAGE)


STAGE = Stage(
    name="flame_head_tracker",
    summary="Track the face with upstream's flame-head-tracker.",
    reads=("frames",),
    writes="tracking",
    config=FlameHeadTrackerConfig,
    gpu="optional",
    upstream="flame-head-tracker",
    assets=lambda config: READS + ABOUT,
    needs=lambda config: tuple((name,) for name in READS),
)
