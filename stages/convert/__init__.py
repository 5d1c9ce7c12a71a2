"""convert: what the tracker solved, in the form FlashAvatar trains on; docs/conventions.md says how, exactly."""

from dataclasses import dataclass

from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class ConvertConfig:
    workers: int = option(0, "processes; 0 = one per core", key=False)


STAGE = Stage(
    name="convert",
    summary="turn the tracking into FlashAvatar's dataset, checked frame by frame",
    reads=("tracking", "frames"),
    writes="dataset",
    config=ConvertConfig,
)
