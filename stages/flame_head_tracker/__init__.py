"""flame_head_tracker: the upstream flame-head-tracker v4.1, patched, in landmark mode; it writes what track writes."""

from dataclasses import dataclass

from stages.contract import Stage


@dataclass(frozen=True)
class FlameHeadTrackerConfig:
    pass


STAGE = Stage(
    name="flame_head_tracker",
    summary="Track the face with upstream's flame-head-tracker.",
    reads=("frames",),
    writes="tracking",
    config=FlameHeadTrackerConfig,
    upstream="flame-head-tracker",
)
