"""convert: tracking/ and frames/ -> dataset/, written only if every frame reprojects where the tracker saw it."""

import json
from collections.abc import Iterable, Iterator

import numpy as np

from avatarmake import head_model
from avatarmake.contract import layout
from avatarmake.contract.command import main
from avatarmake.contract.stage import Job
from avatarmake.contract.workers import how_many, worker_pool
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats.descriptions import read_crop, read_tracker
from avatarmake.formats.tracking import read_tracking, tracked_file, tracked_indices
from avatarmake.geometry.jitter import jitter_px
from avatarmake.head_model.model import HeadModel
from stages.convert import STAGE
from stages.convert.chunk import Plan, Seen, begin, work, work_on
from stages.convert.weights import weights

CHUNK = 100  # frames: a few MB, and a progress line now and then
# Without a tracker.json the files are flame-head-tracker's own, whose parameters mean FLAME
UPSTREAM = {"tracker": "flame-head-tracker", "head_model": "flame"}


def run(job: Job) -> dict:
    tracking, frames = job.read("tracking"), job.read("frames")
    crop = read_crop(frames / "crop.json", job.subject.name)
    tracker = _tracker(tracking, job.subject.name)
    head = _head(tracker, tracking, job.subject.name)
    indices = _indices(tracking, tracker, len(crop["source_frames"]), job.subject.name)
    for folder in ("checkpoint", "imgs"):
        (job.out / folder).mkdir(exist_ok=True)
    plan = Plan(
        tracking,
        frames,
        job.out,
        tuple(indices),
        head.at_landmarks(head.landmark_ids),
        read_tracking(tracked_file(tracking, indices[0])),
    )
    seen = Seen(*map(np.array, zip(*job.progress(_frames(_chunks(job, plan)), len(indices)), strict=True)))
    _write_index(job, plan, crop, head, weights(indices, crop, tracker))
    jitter = jitter_px(seen.rigid, np.array(indices))
    facts = {
        "frames_in": len(crop["source_frames"]),
        "frames_out": len(indices),
        "missing": len(crop["source_frames"]) - len(indices),
        # to the digits that float32 gives: the others depend on how many threads BLAS has
        "reprojection_px_max": round(float(seen.error_max.max()), 8),
        "reprojection_px_mean": round(float(seen.error_mean.mean()), 8),
        "jitter_px": None if jitter is None else round(jitter, 6),
        "focal": float(plan.first.intrinsics[0, 0]),
        "tracker": tracker.get("tracker"),
    }
    shakes = "too few frames in a row to measure it" if jitter is None else f"{jitter:.3f} px"
    print(
        f"{facts['frames_out']} of {facts['frames_in']} frames, reprojection {facts['reprojection_px_max']:.1e} px at "
        f"most, jitter {shakes}"
    )
    return facts


def _tracker(tracking, subject: str) -> dict:
    path = tracking / "tracker.json"
    return read_tracker(path, subject) if path.exists() else UPSTREAM


def _head(tracker: dict, tracking, subject: str) -> HeadModel:
    """The head model that the parameters were solved for, and no other."""
    head = head_model.load(tracker["head_model"])
    solved_for = tracker.get("head_model_digest", head.digest)
    if solved_for != head.digest:
        raise StageError(
            f"was solved for another version of head model '{head.name}': {solved_for[:8]}, not {head.digest[:8]}",
            tracking,
            f"Run: make track ID={subject}",
        )
    return head


def _indices(tracking, tracker: dict, images: int, subject: str) -> list[int]:
    """The tracked frames, in order, after comparing what is there with what should be."""
    again = f"Run: make track ID={subject}"
    found = tracked_indices(tracking)
    lost = sorted(set(tracker.get("tracked", found)) - set(found))
    if lost:
        first = layout.tracking_file(tracking, lost[0])
        raise StageError(f"is missing, and so are {len(lost) - 1} others", first, again)
    if not found:
        raise StageError("holds no tracked frame: no face was found in the video", tracking, "Choose another video")
    if found[-1] >= images:
        last = tracked_file(tracking, found[-1])
        raise StageError(f"belongs to image {found[-1] + 1}, and there are {images}", last, again)
    return found


def _chunks(job: Job, plan: Plan) -> Iterator[Seen]:
    """The first frame alone, because all others are checked against it; then the rest, in processes if it is much."""
    count = len(plan.indices)
    yield work(plan, 0, 1)
    starts = range(1, count, CHUNK)
    stops = [min(s + CHUNK, count) for s in starts]
    workers = how_many(job.config.workers, len(starts))
    if workers < 2 or count < 4 * CHUNK:
        yield from (work(plan, a, b) for a, b in zip(starts, stops, strict=True))
        return
    with worker_pool(workers, ("stages.convert.chunk",), begin, plan) as pool:
        yield from pool.map(work_on, starts, stops)


def _frames(chunks: Iterable[Seen]) -> Iterator[tuple]:
    for chunk in chunks:
        yield from zip(chunk.error_max, chunk.error_mean, chunk.rigid, strict=True)


def _write_index(job: Job, plan: Plan, crop: dict, head: HeadModel, counts: list[float]) -> None:
    """index.json: which source frame each image of the dataset is, which box of it, how much it counts in training."""
    index = {
        "head_model": head.name,
        "head_model_digest": head.digest,
        "image_size": list(plan.first.image_size),
        "source": {"size": [crop["source"]["width"], crop["source"]["height"]], "box": crop["box"]},
        "fps": crop["fps"],
        "focal": float(plan.first.intrinsics[0, 0]),
        "images": [i + 1 for i in plan.indices],
        "source_frames": [crop["source_frames"][i] for i in plan.indices],
        "times": [crop["times"][i] for i in plan.indices],
        "weights": counts,
    }
    with whole(job.out / "index.json") as temporary:
        temporary.write_text(json.dumps(index))


if __name__ == "__main__":
    main(STAGE, run)
