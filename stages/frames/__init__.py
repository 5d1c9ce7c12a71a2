"""frames: one video in, one fixed square crop of the head for the whole video out, 512 x 512 JPEGs."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import receipt
from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError
from avatarmake.files.inputs import place
from stages.frames.images import images


@dataclass(frozen=True)
class FramesConfig:
    video: Path | None = option(
        None, "the video, a folder of images or 'seq/%05d.png'; else data/<ID>/video.mp4, or the demo's own", input=True
    )
    fps: float | None = option(None, "images per second of video; else every frame. Of images: how many are a second")
    margin: float = option(0.6, "room around the face for hair and neck, in face heights")
    samples: int = option(32, "frames in which the face is looked for")
    person: str = option("largest", "whose face: largest, followed over cuts; or one alone: left, right, its number")
    turn: str = option("auto", "degrees clockwise to turn the video by: 0, 90, 180, 270, or auto, by what is upright")

    def __post_init__(self):
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise StageError(f"fps is {self.fps}", next="Give images per second: FPS=25", exit=Exit.USAGE)
        if not 0.1 <= self.margin <= 3 or not 1 <= self.samples <= 1000:
            raise StageError("margin must be 0.1 to 3, samples 1 to 1000", exit=Exit.USAGE)
        if not re.fullmatch(r"largest|left|right|[1-9]\d{0,3}", self.person):
            what = f"person is '{self.person}'"
            raise StageError(what, next="Give PERSON=left, right, largest, or a number of the line", exit=Exit.USAGE)
        if self.turn not in ("auto", "0", "90", "180", "270"):
            raise StageError(f"turn is '{self.turn}'", next="Give TURN=0, 90, 180, 270 or auto", exit=Exit.USAGE)


def with_video(subject: Subject, config: FramesConfig) -> FramesConfig:
    """Fill in the video: the one given, the subject's own, or the one these frames were cut from before.

    Raises StageError where there is none, and for images that are no video, before anything of them is read.
    """
    before = (receipt(subject.directory("frames")) or {}).get("config", {}).get("video")
    if config.video is None and subject.video.exists():
        config = replace(config, video=subject.video)
    elif config.video is None and before and place(Path(before)).exists():
        config = replace(config, video=Path(before))
    if config.video is None:
        raise StageError(
            "there is no video of this subject",
            subject.root,
            f"Give one: make frames ID={subject.name} VIDEO=path/to/video.mp4",
            Exit.USAGE,
        )
    found = images(config.video)
    if found and config.fps is None:
        what = f"is {len(found)} images, and nothing says how many of them are a second"
        raise StageError(what, config.video, "Say it: FPS=25", Exit.USAGE)
    return config


STAGE = Stage(
    name="frames",
    summary="Cut one fixed square around the head out of every frame of a video.",
    reads=(),
    writes="frames",
    config=FramesConfig,
    resolve=with_video,
)
