"""The directories that an import brings, each as its own stage writes it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from avatarmake.contract import layout
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.contract.stage import Job
from avatarmake.files.whole import whole
from avatarmake.formats import images, tracking
from avatarmake.formats.frame import FrameRecord, write_frame
from avatarmake.formats.tracking import Tracking
from avatarmake.geometry import cameras
from stages.imported import parameters
from stages.imported.found import PARTS, Found
from stages.imported.framing import Framing
from stages.imported.pictures import Writer

FPS = 25.0  # metrical-tracker's own, where nothing says another


def write_frames(job: Job, found: Found, framing: Framing, writer: Writer) -> Path:
    out = _folder(job, "frames")
    pictures = found.pictures() if found.pictures else None
    for n, shot in enumerate(job.progress(found.shots, label="pictures"), 1):
        picture = shot.image if pictures is None else next(pictures)
        writer.picture(_squared(picture) if shot.record is None else picture, layout.frame_image(out, n))
    size = framing.described()
    (width, height), fps = size["size"], fps_of(job, found)
    numbers = [shot.number for shot in found.shots]
    crop = {
        "source": {"name": Path(job.config.source).name, "width": width, "height": height, "fps": fps}
        | {"frames": numbers[-1] + 1, "rotation": 0, "duration": (numbers[-1] + 1) / fps, "notes": []},
        "turn": 0,
        "box": size["box"],
        "image_size": [IMAGE_SIZE, IMAGE_SIZE],
        "people": [1.0],
        "fps": fps,
        "source_frames": numbers,
        "times": [number / fps for number in numbers],
        "repeats": [],
        "black": [],
    }
    write_json(out / "crop.json", crop)
    return out


def _squared(picture: Path | np.ndarray) -> Path | np.ndarray:
    """What flame-head-tracker fitted, which draws whatever it is given to a square."""
    if isinstance(picture, Path):
        if images.size(picture) == (IMAGE_SIZE, IMAGE_SIZE):
            return picture
        picture = images.read_rgb(picture)
    return images.resize(picture, (IMAGE_SIZE, IMAGE_SIZE))


def write_tracking(job: Job, found: Found, records: list, name: str, digest: str) -> None:
    """An .npz a frame; tracker.json only where the head model is known, else `convert` takes them for upstream's."""
    out = _folder(job, "tracking")
    for i, shot in enumerate(found.shots):
        target = layout.tracking_file(out, i)
        if not target.exists():
            tracking.write_tracking(target, shot.tracking or _tracking(records[i]))
    if digest:
        first = found.shots[0].tracking or _tracking(records[0])
        tracker = {
            "tracker": found.kind,
            "head_model": name,
            "head_model_digest": digest,
            "image_size": [IMAGE_SIZE, IMAGE_SIZE],
            "focal": float(first.intrinsics[0, 0]),
            "frames": len(found.shots),
            "tracked": list(range(len(found.shots))),
            "missing": [],
        }
        write_json(out / "tracker.json", tracker)


def _tracking(record: FrameRecord) -> Tracking:
    return Tracking(
        shape=record.shape,
        expression=record.expression,
        **parameters.of_record(record),
        cam=cameras.cam_from_extrinsics(record.R, record.t),
        intrinsics=record.intrinsics,
        eyelids=record.eyelids,
    )


def record_of(t: Tracking) -> FrameRecord:
    """What convert will make of it, for the evidence."""
    r, shift = cameras.extrinsics_from_cam(t.cam)
    lids = t.eyelid_closure
    return FrameRecord(
        shape=t.shape,
        expression=t.expression,
        jaw_rot6d=parameters.rot6d(t.jaw_pose),
        eyes_rot6d=parameters.rot6d(t.eye_pose),
        eyelids=np.zeros(2, np.float32) if lids is None else lids,
        R=r,
        t=shift,
        intrinsics=t.intrinsics,
    )


def write_dataset(job: Job, found: Found, framing: Framing, records: list, name: str, digest: str) -> None:
    out, frames = _folder(job, "dataset"), job.out / "frames"
    for folder in ("checkpoint", "imgs"):
        (out / folder).mkdir(exist_ok=True)
    for i, record in enumerate(records):
        if not (target := layout.checkpoint_file(out, i)).exists():
            write_frame(target, record, frame_id=i)
        _same_file(layout.frame_image(frames, i + 1), layout.dataset_image(out, i + 1))
    fps, numbers = fps_of(job, found), [shot.number for shot in found.shots]
    index = {
        "head_model": name,
        "head_model_digest": digest,
        "image_size": [IMAGE_SIZE, IMAGE_SIZE],
        "source": framing.described(),
        "fps": fps,
        "focal": float(records[0].intrinsics[0, 0]),
        "images": list(range(1, len(records) + 1)),
        "source_frames": numbers,
        "times": [number / fps for number in numbers],
    }
    write_json(out / "index.json", index)


def write_masks(job: Job, found: Found, writer: Writer, notes: list[str]) -> dict:
    """masks/ with the parts that every frame has. -> what its receipt says."""
    parts = found.parts
    for part in PARTS:
        there = sum(part in shot.masks for shot in found.shots)
        if part not in parts and there:
            notes.append(f"{part} masks for {there} of {len(found.shots)} frames: dropped, `mask` makes them all")
    if not parts:
        return {}
    out = _folder(job, "masks")
    for n, shot in enumerate(job.progress(found.shots, label="masks"), 1):
        for part in parts:
            writer.mask(shot.masks[part], part, _mask_file(out, n, part))
    lacks = [part for part in PARTS if part not in parts]
    return {"masks": {"made_by_others": len(parts) * len(found.shots), "incomplete": lacks}}


def _mask_file(out: Path, n: int, part: str) -> Path:
    path = layout.alpha_mask(out, n) if part == "alpha" else layout.parsing_mask(out, n, part)
    path.parent.mkdir(exist_ok=True)
    return path


def _folder(job: Job, name: str) -> Path:
    (job.out / name).mkdir(exist_ok=True)
    return job.out / name


def _same_file(source: Path, target: Path) -> None:
    """Our own file under a second name: a hard link costs nothing."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        with whole(target) as temporary:
            shutil.copyfile(source, temporary)


def fps_of(job: Job, found: Found) -> float:
    return float(job.config.fps or found.fps or FPS)


def write_json(path: Path, content: dict) -> None:
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))
