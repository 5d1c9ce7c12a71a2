"""Where each artefact of a subject lives. No other module spells a path of the shared volume.

    data/<ID>/source/    video.mp4, truth.npz        demo (only the demo subject has one)
    data/<ID>/imported/  import.json, evidence.jpg   imported (`make import`), which brings the next four with it
    data/<ID>/frames/    00001.jpg ..., crop.json    frames
    data/<ID>/tracking/  0.npz ..., tracker.json     track
    data/<ID>/dataset/   checkpoint/ imgs/ index.json  convert
    data/<ID>/masks/     alpha/ parsing/             mask
    data/<ID>/avatar/    checkpoint, .ply, curve     train
    data/<ID>/view/      index.html                  view
    data/<ID>/report/    test.mp4 metrics.json index.html  report
    data/<ID>/drives/<driver>/  drive.mp4 avatar.mp4 parameters.npz  drive
    data/<ID>/export/    avatar.npz, .ply            export
"""

import re
from dataclasses import dataclass
from pathlib import Path

from avatarmake.contract.pipeline import IMPORTER, WRITER
from avatarmake.errors import Exit, StageError

IMAGE_SIZE = 512  # side of every image and mask of a subject, in pixels: FlashAvatar reads nothing else


@dataclass(frozen=True)
class Subject:
    """One person in one video: `data/<name>/`. Names are what make and Docker take without quoting."""

    data: Path
    name: str

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", self.name):
            raise StageError(
                f"'{self.name}' cannot be a subject's ID",
                next="Use letters, digits, '-', '_' and '.', at most 64: make train ID=roman",
                exit=Exit.USAGE,
            )

    @property
    def root(self) -> Path:
        return self.data / self.name

    def directory(self, name: str) -> Path:
        """A directory that stage `WRITER[name]` writes, e.g. `tracking`; or one of several of its, `drives/anna`."""
        if name.partition("/")[0] not in (*WRITER, IMPORTER):
            raise KeyError(f"{name} is not a stage's directory: {sorted(WRITER)}")
        return self.root / name

    def partial(self, name: str) -> Path:
        """Where a stage works until its directory is whole."""
        return self.root / f"{name}.partial"

    # What the stages hand each other. `root` is the stage's directory, or its .partial while it is being written.
    @property
    def video(self) -> Path:
        """The demo subject's video, and where a user may leave theirs when VIDEO= is not given."""
        made = self.directory("source") / "video.mp4"
        return made if made.exists() else self.root / "video.mp4"

    @property
    def truth(self) -> Path:
        return self.directory("source") / "truth.npz"


def frame_image(root: Path, number: int) -> Path:
    """Image `number` (1-based) of frames/, or of dataset/imgs when `root` is that."""
    return root / f"{number:05d}.jpg"


def person_image(root: Path, number: int) -> Path:
    """frames/: a small picture of each face found, 1-based; only where there is more than one."""
    return root / f"people/{number}.jpg"


def tracking_file(root: Path, index: int) -> Path:
    """flame-head-tracker's name: unpadded, 0-based; image `index + 1` of frames/."""
    return root / f"{index}.npz"


def checkpoint_file(root: Path, index: int) -> Path:
    """dataset/checkpoint: 0-based and zero-padded; it pairs with image `index + 1` (FlashAvatar's off-by-one)."""
    return root / f"checkpoint/{index:05d}.frame"


def dataset_image(root: Path, number: int) -> Path:
    return frame_image(root / "imgs", number)


def alpha_mask(root: Path, number: int) -> Path:
    return root / f"alpha/{number:05d}.jpg"


def parsing_mask(root: Path, number: int, part: str) -> Path:
    """`part` is `neckhead` or `mouth`."""
    return root / f"parsing/{number:05d}_{part}.png"
