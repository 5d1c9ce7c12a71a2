"""The person's shape once, then batch after batch of our fixed crops; a killed run goes on with the next batch."""

import json
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.contract import layout
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.detection import quality
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats import images
from avatarmake.formats.descriptions import read_crop
from avatarmake.formats.tracking import write_tracking
from avatarmake.head_model.model import HeadModel
from stages.flame_head_tracker import STAGE
from stages.flame_head_tracker.quality import measure
from stages.flame_head_tracker.tracker import UpstreamTracker, tracking

LOOKS = 24  # images over the whole video that are looked at for the person's shape, before all others are


def run(job: Job) -> dict:
    frames = job.read("frames")
    count = len(read_crop(frames / "crop.json", job.subject.name, "source_frames")["source_frames"])
    head = head_model.load("flame")  # a missing asset is said before the work
    finished, scratch = job.out / "tracker.json", job.out / "batches"
    if not finished.exists():
        scratch.mkdir(exist_ok=True)
        starts = [first for first in range(0, count, job.config.batch_size) if not _done(scratch, first).exists()]
        device = _work(job, frames, scratch, count, starts) if starts else job.config.device
        summed = summary(scratch, count, job.config, head) | {"device": device}
        with whole(finished) as path:
            path.write_text(json.dumps(summed, indent=1))
    shutil.rmtree(scratch, ignore_errors=True)
    tracker = json.loads(finished.read_text())
    facts = {"frames_in": tracker["frames"], "frames_out": len(tracker["tracked"]), "missing": tracker["missing"]}
    print(f"on {tracker['device']}: {quality.line(tracker)}")
    return {**facts, "focal": tracker["focal"], "device": tracker["device"], **tracker["quality"]}


def _work(job: Job, frames: Path, scratch: Path, count: int, starts: list[int]) -> str:
    """Track the batches that begin at `starts`; returns the device."""
    upstream = UpstreamTracker(STAGE, job.config)
    shape = _shape(upstream, frames, scratch / "shape.npy", count)
    size = job.config.batch_size
    todo = sum(min(first + size, count) - first for first in starts)

    def batches() -> Iterator[int]:
        for first in starts:
            numbers = range(first, min(first + size, count))
            _track(upstream, frames, job.out, _done(scratch, first), numbers, shape)
            yield from numbers

    for _ in job.progress(batches(), todo):
        pass
    return upstream.device


def _track(upstream: UpstreamTracker, frames: Path, out: Path, done: Path, numbers: range, shape: np.ndarray) -> None:
    """One batch: an .npz for each frame with a face, and last its figures, which say that it is done."""
    results = upstream.track([_image(frames, number) for number in numbers], shape)
    tracked = [(number, result) for number, result in zip(numbers, results, strict=True) if result is not None]
    for number, result in tracked:
        write_tracking(layout.tracking_file(out, number), tracking(result))
    parts = [measure(result) for _, result in tracked]
    figures = {name: np.array([part[name] for part in parts], np.float32) for name in quality.FIGURES}
    with whole(done) as path:
        np.savez(path, numbers=np.array([number for number, _ in tracked], int), **figures)


def _shape(upstream: UpstreamTracker, frames: Path, kept: Path, count: int) -> np.ndarray:
    """(1,300), found once for the video. Images spread over it come first: upstream's first ones are of one moment."""
    if kept.exists():
        return np.load(kept)
    spread = np.linspace(0, count - 1, min(count, LOOKS)).astype(int)
    order = chain(*(spread[k::8] for k in range(8)), range(count))
    shape = upstream.shape(_image(frames, number) for number in order)
    if shape is None:
        raise StageError(f"no face was found in its {count} images", frames, "Choose another video")
    with whole(kept) as path:
        np.save(path, shape)
    return shape


def summary(scratch: Path, count: int, config, head: HeadModel) -> dict:
    """tracker.json, from every batch's figures."""
    parts = []
    for first in range(0, count, config.batch_size):
        with np.load(_done(scratch, first)) as npz:
            parts.append(dict(npz))
    parts = [part for part in parts if len(part["numbers"])]
    if not parts:
        raise StageError(f"no face could be followed in its {count} images", scratch.parent, "Choose another video")
    figures = {name: np.concatenate([part[name] for part in parts]) for name in ("numbers", *quality.FIGURES)}
    numbers = figures.pop("numbers")
    return {
        "tracker": "flame-head-tracker",
        "detector": "landmarker",
        "eyelids": "scores",
        "head_model": head.name,
        "head_model_digest": head.digest,
        "head_model_sources": head.sources,
        "image_size": [layout.IMAGE_SIZE] * 2,
        "focal": layout.IMAGE_SIZE / 2 / float(np.tan(np.radians(config.fov) / 2)),
        "frames": count,
        "tracked": numbers.tolist(),
        "missing": sorted(set(range(count)) - set(numbers.tolist())),
        "quality": {
            **quality.summary(numbers, **figures),
            "iterations": config.iterations,
            "rigid_iterations": config.rigid_iterations,
        },
    }


def _image(frames: Path, number: int) -> np.ndarray:
    """Image of 0-based `number`, (512,512,3) and writeable, as MediaPipe and torch want it."""
    return images.read_rgb(layout.frame_image(frames, number + 1)).copy()


def _done(scratch: Path, first: int) -> Path:
    return scratch / f"{first:06d}.npz"


if __name__ == "__main__":
    main(STAGE, run)
