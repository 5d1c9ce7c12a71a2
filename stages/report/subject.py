"""What the other stages left of one subject, read once and checked: the report's only view of the shared volume."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.contract import layout
from avatarmake.contract.publication import receipt
from avatarmake.contract.stage import Job
from avatarmake.errors import StageError
from avatarmake.formats import images
from avatarmake.formats.descriptions import read_crop, read_index
from avatarmake.formats.tracking import Tracking, read_tracking, tracked_file
from avatarmake.head_model.model import HeadModel

WHITE = np.float32(255)


@dataclass(frozen=True)
class Finished:
    """The directories of one subject, all finished."""

    name: str
    frames: Path
    tracking: Path
    dataset: Path
    masks: Path
    refined: Path
    avatar: Path
    view: Path
    source: Path  # the demo's; need not be there

    @classmethod
    def of(cls, job: Job) -> "Finished":
        read = {d: job.read(d) for d in job.stage.reads}
        return cls(job.subject.name, source=job.subject.directory("source"), **read)

    def stamp(self, directory: str) -> dict:
        """stage.json of one directory, {} where there is none."""
        return receipt(getattr(self, directory)) or {}

    @cached_property
    def crop(self) -> dict:
        return read_crop(self.frames / "crop.json", self.name, "source", "box", "source_frames")

    @cached_property
    def index(self) -> dict:
        return read_index(self.dataset / "index.json", self.name)

    @cached_property
    def tracker(self) -> dict:
        """tracker.json; {} where upstream's own files came without."""
        path = self.tracking / "tracker.json"
        return _json(path, f"make track ID={self.name}") if path.exists() else {}

    @cached_property
    def evaluation(self) -> dict:
        return _json(self.avatar / "evaluation.json", f"make train ID={self.name}")

    @cached_property
    def curve(self) -> list[dict]:
        return _json(self.avatar / "curve.json", f"make train ID={self.name}")

    @property
    def live(self) -> str | None:
        """The page with the avatar in it; None for one on a licensed head model, whose page only says so."""
        if not self.stamp("view").get("facts", {}).get("live"):
            return None
        return (self.view / "index.html").read_text()

    @cached_property
    def head(self) -> HeadModel:
        return head_model.load(self.index["head_model"])

    @cached_property
    def held_out(self) -> list[dict]:
        """Frames that training never saw, in order of time: {"split", "frame" (of the dataset), "psnr_full", ...}."""
        rows = [{"split": name, **row} for name, s in self.evaluation["splits"].items() for row in s["per_frame"]]
        return sorted(rows, key=lambda row: row["frame"])

    def tracked(self, number: int) -> Tracking:
        """The tracker's result for dataset image `number`."""
        return read_tracking(tracked_file(self.tracking, self.index["images"][number - 1] - 1))

    def image(self, number: int) -> np.ndarray:
        return images.read_rgb(layout.dataset_image(self.dataset, number))

    def mask(self, number: int, part: str) -> np.ndarray:
        """(H,W) uint8; `part` is alpha, neckhead or mouth."""
        if part == "alpha":
            return images.read_mask(layout.alpha_mask(self.masks, number))
        return images.read_mask(layout.parsing_mask(self.masks, number, part))

    def truth(self, number: int, side: int) -> np.ndarray:
        """What the avatar should look like, (side,side,3) uint8: FlashAvatar's compositing.

        Over white twice: where alpha says background, and where neckhead says clothes.
        """
        alpha, neckhead = (self.mask(number, m)[..., None] / np.float32(255) for m in ("alpha", "neckhead"))
        person = self.image(number) * alpha + WHITE * (1 - alpha)
        head = person * neckhead + WHITE * (1 - neckhead)
        return images.resize(np.rint(head).astype(np.uint8), (side, side))

    def rendered(self, number: int) -> np.ndarray:
        """The avatar at a held-out frame, over white, (resolution, resolution, 3) uint8."""
        for name in (f"{number:05d}.png", f"{number}.png"):
            if (self.avatar / "test" / name).exists():
                return images.read_rgb(self.avatar / "test" / name)
        raise StageError(
            "was not rendered", self.avatar / "test" / f"{number:05d}.png", f"Run: make train ID={self.name}"
        )


def spread(items: list, count: int) -> list:
    """`count` of the items, evenly spread, the ends left out."""
    if len(items) <= count:
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, count + 2)[1:-1].round()]


def _json(path: Path, command: str):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as e:
        raise StageError(f"cannot be read: {e}", path, f"Run: {command}") from e
