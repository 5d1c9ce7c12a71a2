"""Make the demo subject: a public-domain portrait on the open head, acting to a script, with exact truth beside it."""

from dataclasses import dataclass

from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class DemoConfig:
    frames: int = option(300, "frames of the video")
    size: int = option(512, "width and height in pixels")
    fps: int = option(25, "frames per second")
    seed: int = option(0, "another seed, another performance")
    person: str = option("eileen", "who acts: eileen, the portrait; or anna, of another shape, skin and hair")


STAGE = Stage(
    name="demo",
    summary="make the demo subject: a video of a synthetic person, and its truth",
    reads=(),
    writes="source",
    config=DemoConfig,
)
