"""view: the avatar in one page that needs nothing else: to look at from any side, to move, to pass on."""

from dataclasses import dataclass, replace

from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import receipt
from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class ViewConfig:
    seconds: float = option(60.0, "how much of the tracked video, and of each drive, the page can play, at most")
    drives: str | None = option(None, "which drives it can play, anna,tour; all that are there unless given")

    def named(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in (self.drives or "").split(",") if (name := part.strip())))


def resolved(subject: Subject, config: ViewConfig) -> ViewConfig:
    """Which drives are there, in the order of their names."""
    if config.drives is not None:
        return config
    places = sorted(subject.directory("drives").glob("[!.]*"))
    there = [place.name for place in places if place.suffix != ".partial" and receipt(place)]
    return replace(config, drives=",".join(there))


STAGE = Stage(
    name="view",
    summary="one page with the avatar in it, alive: turn it, move it, play what was tracked and who drove it",
    reads=("refined", "avatar"),
    writes="view",
    config=ViewConfig,
    resolve=resolved,
    also=lambda config: tuple(f"drives/{name}" for name in config.named()),
)
