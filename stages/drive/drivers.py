"""Who drives: what BY= stands for, as a performance, and what is seen and heard of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.avatar import tracked
from avatarmake.avatar.model import Avatar
from avatarmake.avatar.performance import Performance
from avatarmake.contract import layout
from avatarmake.contract.stage import Job
from avatarmake.errors import StageError
from avatarmake.formats import images
from avatarmake.formats.descriptions import read_crop
from stages.drive import TOUR, arkit, neutral
from stages.drive.bounds import Bounds
from stages.drive.neutral import Neutral
from stages.drive.tour import tour

GAP = 0.5  # seconds without a face that are bridged without a word


@dataclass(frozen=True)
class Driver:
    """`performance` has a frame for every picture of the result."""

    name: str
    performance: Performance
    rest: Neutral
    moves: bool = True  # whether it says how the head moves
    yaw: np.ndarray | None = None  # (F,) radians that it wants the camera to have gone round the head
    picture: Callable[[int], np.ndarray] | None = None  # frame -> (H,W,3) uint8 of the driver
    note: str | None = None


def driver(job: Job, avatar: Avatar, own: Performance, own_rest: Neutral, bounds: Bounds) -> Driver:
    """Raises StageError for one of another head model."""
    config = job.config
    if config.file is None and config.by == TOUR:
        performance, yaw = tour(own, own_rest.parameters, bounds)
        return Driver(TOUR, performance, own_rest, yaw=yaw)
    if config.file is None:
        found = _subject(job)
    elif Path(config.file).suffix.lower() == ".csv":
        return Driver(config.by, arkit.read(Path(config.file), avatar, own), neutral.zero(), moves=False)
    else:
        performance = Performance.read(Path(config.file))
        found = Driver(config.by, performance, _rest(config, performance))
    refuse_another_head(found, avatar)
    return found


def refuse_another_head(found: Driver, avatar: Avatar) -> None:
    p = found.performance
    if p.head_model_digest == avatar.head_model_digest:
        return
    other = f"'{p.head_model}'" if p.head_model != avatar.head_model else f"another version of '{p.head_model}'"
    what = f"is of the head model {other}, and the avatar of {avatar.name} stands on '{avatar.head_model}'"
    raise StageError(
        f"{what}: their expressions mean different things",
        found.name,
        f"Track both with the same one: make track ID={found.name} HEAD_MODEL={avatar.head_model}",
    )


def _rest(config, performance: Performance) -> Neutral:
    return neutral.zero() if config.neutral == "zero" else neutral.find(performance)


def _subject(job: Job) -> Driver:
    """A tracked subject: as many frames as frames/ has; where there was no face, its neighbours' parameters."""
    name = job.config.by
    frames = job.borrow(name, "frames")
    if job.config.cameras == "refined":
        performance = tracked.of_dataset(job.borrow(name, "refined"), name)
    else:
        performance = tracked.of_tracking(job.borrow(name, "tracking"), frames, name)
    times = np.array(read_crop(frames / "crop.json", name, "fps", "times")["times"], np.float64)
    rest = _rest(job.config, performance)
    return Driver(
        name,
        performance.at(times),
        rest._replace(nearest=int(np.searchsorted(times, performance.times[rest.nearest]))),
        picture=lambda i: images.read_rgb(layout.frame_image(frames, i + 1)),
        note=_lost(name, times, performance.times),
    )


def _lost(name: str, times: np.ndarray, seen: np.ndarray) -> str | None:
    """What is said of frames without a face, where they are more than a moment."""
    after = np.clip(np.searchsorted(seen, times), 0, len(seen) - 1)
    away = np.minimum(np.abs(seen[after] - times), np.abs(seen[np.maximum(after - 1, 0)] - times))
    if not (away > GAP).any():
        return None
    lost, far = len(times) - len(seen), int((away > GAP).sum())
    return f"{name}'s face is lost in {lost} frames, {far} of them more than {GAP} s from one that shows it"
