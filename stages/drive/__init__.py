"""drive: an avatar with somebody else's performance, as a video. One directory a driver, data/<ID>/drives/<driver>/."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import made_of, receipt
from avatarmake.contract.stage import Stage, option
from avatarmake.errors import Exit, StageError

TOUR = "tour"
FILES = (".csv", ".npz")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi")  # the Makefile has them tracked first
KNOWN = {
    "pose": ("driver", "absolute", "own", "none"),
    "camera": ("still", "orbit", "way"),
    "neutral": ("found", "zero"),
    "cameras": ("auto", "refined", "tracked"),
    "alpha": ("mov", "png"),
}
SIZES = (256, 1024)


@dataclass(frozen=True)
class DriveConfig:
    by: str = option("", "who drives: a tracked subject, a video, a .csv of ARKit's 52, an .npz of parameters, or tour")
    file: Path | None = option(None, "the file of parameters, where it is one that drives", input=True)
    sound: Path | None = option(None, "where the sound comes from; else the driver's video", input=True)
    pose: str = option("driver", "how the head moves: driver, absolute (their very angles), own (its video's) or none")
    gain: float = option(1.0, "how much of the driver's expression and jaw: 1 is as much")
    yaw: float = option(0.0, "degrees that the camera stands to the subject's left")
    camera: str = option("still", "still, orbit (to one side, the other, and back), or a .csv: time,yaw,pitch,zoom")
    way: Path | None = option(None, "the file of the camera's way, where it has one", input=True)
    size: int = option(512, "side of the avatar's picture in pixels: 256 to 1024")
    background: str = option("white", "white, black, #rrggbb, or alpha: none")
    alpha: str = option("mov", "of background alpha: mov (ProRes 4444), or png (one picture a frame)")
    neutral: str = option("found", "the driver's neutral face: found in the performance, or zero")
    cameras: str = option("auto", "a subject's head motion: refined, tracked, or auto: refined where it is there")

    def __post_init__(self):
        for name, known in KNOWN.items():
            if getattr(self, name) not in known and not (name == "camera" and is_way(self.camera)):
                what = f"{name} is '{getattr(self, name)}'"
                raise StageError(what, next=f"Give one of {', '.join(known)}", exit=Exit.USAGE)
        if not SIZES[0] <= self.size <= SIZES[1] or self.size % 2:
            raise StageError(f"size is {self.size}", next="Give an even one, 256 to 1024: SIZE=512", exit=Exit.USAGE)
        if not 0 <= self.gain <= 4 or not -180 <= self.yaw <= 180:
            raise StageError("gain must be 0 to 4, yaw -180 to 180", exit=Exit.USAGE)
        self.ground()

    def ground(self) -> tuple[float, float, float] | None:
        """The background's colour in 0..1, None for alpha."""
        named = {"white": "#ffffff", "black": "#000000"}.get(self.background, self.background)
        if named == "alpha":
            return None
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", named):
            what = f"background is '{self.background}'"
            raise StageError(what, next="Give white, black, '#rrggbb' or alpha", exit=Exit.USAGE)
        return tuple(int(named[k : k + 2], 16) / 255 for k in (1, 3, 5))


def name_of(by: str) -> str:
    """What a driver is called: a subject's own name, a file's without its folder and suffix."""
    if not by:
        raise StageError("driven by whom?", next="Type: make drive ID=roman BY=anna", exit=Exit.USAGE)
    if not is_file(by):
        return by
    plain = os.fsencode(Path(by).stem).decode("latin1")
    return re.sub(r"^[^A-Za-z0-9]+", "", re.sub(r"[^A-Za-z0-9_.-]", "-", plain)) or "driver"


def is_file(by: str) -> bool:
    return "/" in by or Path(by).suffix.lower() in FILES + VIDEOS


def is_way(camera: str) -> bool:
    return Path(camera).suffix.lower() == ".csv"


def resolved(subject: Subject, config: DriveConfig) -> DriveConfig:
    """What BY= stands for: a file of parameters, or a subject (a video's own), and where its sound is; and CAMERA=."""
    if is_way(config.camera):
        config = replace(config, camera="way", way=Path(config.camera).expanduser())
    elif config.camera == "way" and config.way is None:
        raise StageError("camera is 'way', and no file says which", next="Give it: CAMERA=way.csv", exit=Exit.USAGE)
    elif config.camera != "way":
        config = replace(config, way=None)  # one of an earlier run
    by = name_of(config.by)
    if is_file(config.by) and Path(config.by).suffix.lower() not in VIDEOS:
        return replace(config, by=by, file=Path(config.by).expanduser())
    driver = Subject(subject.data, by)  # a name that can be one
    if config.file is not None or by == TOUR:
        return replace(config, by=by)
    cameras = config.cameras if config.cameras != "auto" else "refined" if is_refined(driver) else "tracked"
    return replace(config, by=by, cameras=cameras, sound=config.sound or video_of(driver))


def is_refined(driver: Subject) -> bool:
    """Whether there are refined cameras, made of the tracking that is there."""
    tracking, dataset, refined = map(driver.directory, ("tracking", "dataset", "refined"))
    return made_of(dataset, tracking) and made_of(refined, dataset)


def video_of(driver: Subject) -> Path | None:
    """The video that a subject was cut from, where it still is."""
    done = receipt(driver.directory("frames")) or {}
    word = done.get("environment", {}).get("options", {}).get("video") or ""
    said = [word.removeprefix("--video="), done.get("config", {}).get("video")]
    return next((Path(p) for p in said if isinstance(p, str) and p and Path(p).is_file()), None)


def borrowed(config: DriveConfig) -> tuple[tuple[str, str], ...]:
    if config.file is not None or config.by == TOUR:
        return ()
    return tuple((config.by, name) for name in ("frames", "refined" if config.cameras == "refined" else "tracking"))


STAGE = Stage(
    name="drive",
    summary="drive the avatar with another performance: a tracked subject's, a file's, a tour",
    reads=("avatar", "refined"),
    writes="drives",
    config=DriveConfig,
    resolve=resolved,
    part=lambda config: name_of(config.by),
    borrows=borrowed,
)
