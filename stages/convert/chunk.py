"""The work on one run of frames: read, convert, write, read back, compare. Runs in worker processes."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.contract import layout
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats.frame import read_frame, write_frame
from avatarmake.formats.tracking import Tracking, read_tracking, tracked_file
from avatarmake.geometry.jitter import RIGID
from avatarmake.head_model.model import HeadModel
from stages.convert import check
from stages.convert.record import convert


@dataclass(frozen=True)
class Plan:
    """What every chunk needs to know."""

    tracking: Path
    frames: Path
    out: Path
    indices: tuple[int, ...]  # tracked frames in order: dataset frame j is tracking/<indices[j]>.npz
    head: HeadModel  # at its landmarks only
    first: Tracking  # shape and focal length of the whole video
    side: int = layout.IMAGE_SIZE


@dataclass(frozen=True)
class Seen:
    """What a chunk found out: a few numbers a frame."""

    error_max: np.ndarray  # (n,) px
    error_mean: np.ndarray  # (n,) px
    rigid: np.ndarray  # (n,R,2) projected rigid landmarks, px


def work(plan: Plan, start: int, stop: int) -> Seen:
    """Convert and check dataset frames start..stop-1. What is there already is checked, not written again."""
    tracked = [_one(plan, j) for j in range(start, stop)]
    records = [read_frame(layout.checkpoint_file(plan.out, j)) for j in range(start, stop)]
    video = read_frame(layout.checkpoint_file(plan.out, 0))
    seen = check.seen_by_tracker(tracked, plan.head, plan.side)
    errors = check.reprojection_errors(seen, check.seen_by_trainer(records, video, plan.head, plan.side))
    worst = int(errors.max(1).argmax())
    if not errors.max() < check.TOLERANCE_PX:
        raise StageError(
            f"its landmarks reproject {errors.max():.4g} px from where the tracker has them, expected less than "
            f"{check.TOLERANCE_PX}: the dataset would show another head",
            layout.checkpoint_file(plan.out, start + worst),
            f"It was made from {tracked_file(plan.tracking, plan.indices[start + worst])}: please report this",
        )
    columns = np.flatnonzero(np.isin(plan.head.landmark_ids, RIGID))
    return Seen(errors.max(1), errors.mean(1), seen[:, columns].astype(np.float32))


def _one(plan: Plan, j: int) -> Tracking:
    """Dataset frame j: its .frame and its image."""
    index = plan.indices[j]
    source = tracked_file(plan.tracking, index)
    tracking = read_tracking(source)
    where = f"{source.parent.name}/{source.name}"
    same_video(tracking, plan.first, where, f"{source.parent.name}/{plan.indices[0]}.npz")
    target = layout.checkpoint_file(plan.out, j)
    if not target.exists():
        write_frame(target, convert(tracking, where), frame_id=j)
    _image(layout.frame_image(plan.frames, index + 1), layout.dataset_image(plan.out, j + 1))
    return tracking


def same_video(t: Tracking, first: Tracking, where: str, where_first: str) -> None:
    """FlashAvatar reads K, img_size and shape from frame 0 and ignores cx, cy: all frames must agree on them."""
    k, k_first = t.intrinsics, first.intrinsics
    centre = np.array(t.image_size) / 2
    if np.abs(k[:2, 2] - centre).max() > 1e-3 or abs(k[0, 0] - k[1, 1]) > 1e-3:
        raise StageError(
            f"its principal point is ({k[0, 2]:.2f}, {k[1, 2]:.2f}) and its focal lengths {k[0, 0]:.2f} and "
            f"{k[1, 1]:.2f}; FlashAvatar knows one focal length and the image's centre only",
            where,
            "Track one fixed square crop, centred on the optical axis",
        )
    if abs(k[0, 0] - k_first[0, 0]) * centre[0] / k_first[0, 0] > check.TOLERANCE_PX / 2:
        raise StageError(
            f"its focal length is {k[0, 0]:.2f} px, that of {where_first} {k_first[0, 0]:.2f}; FlashAvatar takes one "
            "for the whole video, and a pose solved for another is wrong under it",
            where,
            "Track with a fixed focal length (flame-head-tracker: optimize_fov off)",
        )
    if np.abs(t.shape - first.shape).max() > 1e-5:
        raise StageError(
            f"its shape is not that of {where_first}; FlashAvatar takes one for the whole video",
            where,
            "Track with one shape (flame-head-tracker: its video script does)",
        )


def _image(source: Path, target: Path) -> None:
    """A hard link costs nothing; where the file system has none, a copy."""
    if target.exists():
        return
    if not source.exists():
        raise StageError("is not there, but it was tracked", source, f"Run: make frames ID={source.parent.parent.name}")
    try:
        os.link(source, target)
    except OSError:
        with whole(target) as temporary:
            shutil.copyfile(source, temporary)


# --- in worker processes -------------------------------------------------------------------------------------------
_plan: Plan


def begin(plan: Plan) -> None:
    global _plan
    _plan = plan


def work_on(start: int, stop: int) -> Seen:
    return work(_plan, start, stop)
