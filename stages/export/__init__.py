"""export: the avatar in files that others read: arrays with a documented layout, and .ply."""

from dataclasses import dataclass

from avatarmake.contract.stage import Stage, option


@dataclass(frozen=True)
class ExportConfig:
    expressions: str = option("neutral,smile,jaw_open,blink", "which become a .ply each, by name; all for every one")
    sequence: int = option(0, "frames of the avatar's own video as a sequence of .ply; 0 for none")


STAGE = Stage(
    name="export",
    summary="the avatar for other programs: avatar.npz and .ply",
    reads=("avatar", "refined"),
    writes="export",
    config=ExportConfig,
)
