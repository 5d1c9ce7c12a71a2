"""view: the avatar in one page that needs nothing else: to look at from any side, to move, to pass on."""

from dataclasses import dataclass

from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class ViewConfig:
    seconds: float = option(60.0, "how much of the tracked video the page can play, at most")


STAGE = Stage(
    name="view",
    summary="one page with the avatar in it, alive: turn it, move it, play what was tracked",
    reads=("dataset", "avatar"),
    writes="view",
    config=ViewConfig,
)
