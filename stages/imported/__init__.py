"""imported: data that others have tracked, in this project's directories, after every check that convert makes."""

from dataclasses import dataclass
from pathlib import Path

from avatarmake.assets import HEAD_MODEL
from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError

KINDS = ("flashavatar", "metrical-tracker", "insta", "vhap", "flame-head-tracker")


@dataclass(frozen=True)
class ImportConfig:
    source: Path | None = option(None, "the folder to import; nothing in it is changed", input=True, below=True)
    kind: str = option("auto", f"what it is: {', '.join(KINDS)}, or auto: as it looks")
    head_model: str = option("auto", "whose parameters they are: flame, open, or auto: as the data says, else flame")
    fps: float | None = option(None, "images per second, where nothing of the data says it; else 25")
    camera: str = option("auto", "of several cameras the one to take, by its number, or auto: the most frontal")
    link: bool = option(False, "hard links in place of copies, where files stay as they are", key=False)

    def __post_init__(self):
        for name, known in (("kind", ("auto", *KINDS)), ("head_model", ("auto", "flame", "open"))):
            if getattr(self, name) not in known:
                what = f"{name.replace('_', ' ')} is '{getattr(self, name)}'"
                raise StageError(what, next=f"Give one of {', '.join(known)}", exit=Exit.USAGE)
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise StageError(f"fps is {self.fps}", next="Give images per second: FPS=25", exit=Exit.USAGE)


def with_source(subject, config: ImportConfig) -> ImportConfig:
    if config.source is None:
        what = "nothing says what to import"
        raise StageError(what, next=f"Type: make import ID={subject.name} FROM=folder", exit=Exit.USAGE)
    return config


STAGE = Stage(
    name="imported",
    summary="Take over what others have tracked: FlashAvatar's data, metrical-tracker's, INSTA's, VHAP's, "
    "flame-head-tracker's.",
    reads=(),
    writes="imported",
    config=ImportConfig,
    resolve=with_source,
    assets=lambda config: HEAD_MODEL if config.head_model != "open" else (),
    brings={
        "frames": (),
        "tracking": ("frames",),
        "dataset": ("tracking", "frames"),
        "masks": ("dataset",),
    },
)
