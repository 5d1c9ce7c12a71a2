"""Detect every chunk, find the person's shape and focal length once, solve every chunk, sum up."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np

from stages import head_model
from stages.contract import Job, main, whole
from stages.errors import StageError
from stages.layout import IMAGE_SIZE
from stages.track import STAGE, identity, parameters, points, quality, work
from stages.track.landmarks import LandmarkDetector, has_face

SAMPLES = 96  # frames from which the keyframes are taken
KEYFRAMES = 24


def run(job: Job) -> dict | None:
    config, frames = job.config, job.read("frames")
    crop = json.loads((frames / "crop.json").read_text())
    count, fps = len(crop["source_frames"]), crop["fps"]
    plan = work.Plan(frames, job.out, count, fps, config.head_model, config.landmarks)
    head_model.load(config.head_model)  # a missing asset is said before the work
    finished = job.out / "tracker.json"
    if not finished.exists():
        plan.scratch.mkdir(exist_ok=True)
        part = plan.chunks.part(*config.part())
        timings = _work(job, plan, crop, part)
        if config.shard is not None:
            return None
        with whole(finished) as path:
            path.write_text(json.dumps(_summary(plan), indent=1))
    else:
        timings = {}
    shutil.rmtree(plan.scratch, ignore_errors=True)
    tracker = json.loads(finished.read_text())
    facts = {"frames_in": tracker["frames"], "frames_out": len(tracker["tracked"]), "missing": tracker["missing"]}
    _say(facts, tracker)
    return {**facts, "focal": tracker["focal"], **tracker["quality"], "ms_per_frame": timings}


def _work(job: Job, plan: work.Plan, crop: dict, part: range) -> dict:
    """Detect, find the identity, solve: each only where it has not been done. -> milliseconds of one core per frame."""
    chunks = plan.chunks
    to_detect = [c for c in chunks.around(part) if not plan.detected(c).exists()]
    to_solve = [c for c in part if not plan.solved(c).exists()]

    def frames(done: Iterator[tuple], sums: list) -> Iterator[int]:
        for count, *rest in done:
            sums.append((count, *rest))
            yield from range(count)

    timings = {}
    with _workers(job.config.workers, plan, len(to_detect) + len(to_solve)) as run_all:
        for name, todo, task in (("detector", to_detect, "detect"), ("solver", to_solve, "solve")):
            if name == "solver" and todo:
                _identity(plan, crop)
            sums: list = []
            total = sum(np.diff(chunks.span(c))[0] for c in todo)
            for _ in job.progress(frames(run_all(task, todo), sums), int(total), f"track: {task}"):
                pass
            if total:
                timings[name] = round(1e3 * sum(s[1] for s in sums) / int(total), 2)
    return timings


@contextmanager
def _workers(asked: int, plan: work.Plan, tasks: int) -> Iterator[Callable[[str, list], Iterator[tuple]]]:
    """Yields run(task name, chunks) -> results in order, in processes where that pays, else here."""
    count = min(asked or len(os.sched_getaffinity(0)), tasks)
    if count < 2:
        worker = work.Worker(plan)
        try:
            yield lambda task, todo: map(getattr(worker, task), todo)
        finally:
            worker.close()
        return
    # one thread each: set before the workers import numpy
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    context = get_context("forkserver")  # imports once, and its children share the pages
    context.set_forkserver_preload(["stages.track.work", "mediapipe"])
    with ProcessPoolExecutor(count, context, work.begin, (plan, os.getpid())) as pool:
        try:
            yield lambda task, todo: pool.map(getattr(work, task), todo)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _identity(plan: work.Plan, crop: dict) -> None:
    """Shape and focal length, once for all shards: the first to come solves, the others wait for it."""
    with (plan.scratch / "identity.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if plan.identity.exists():
            return
        head = head_model.load(plan.head)
        seen = _samples(plan)
        keyframes = seen[identity.spread(seen, KEYFRAMES)]
        fitted = points.chosen(plan.landmarks, head.landmark_ids)
        source = crop["source"]
        person = identity.solve(
            head.at_landmarks(fitted),
            points.TRUST[fitted],
            keyframes[:, fitted],
            identity.NOISE * float(np.median(identity.outer_eye_distance(seen))),
            identity.focal_guess((source["width"], source["height"]), crop["box"][2], IMAGE_SIZE),
            work.SIZE,
            parameters.priors(plan.fps),
        )
        work.write_identity(plan.identity, person)


def _samples(plan: work.Plan) -> np.ndarray:
    """Landmarks of up to 96 frames spread over the video, each detected by itself: the same whichever shard asks.

    A face seen rarely is looked for in more and more frames. Raises StageError when there is none at all.
    """
    looked: set[int] = set()
    with LandmarkDetector(plan.frames) as detector:
        count = SAMPLES
        while len(looked) < plan.count:
            todo = sorted(set(np.linspace(0, plan.count - 1, min(count, plan.count)).astype(int)) - looked)
            looked |= set(todo)
            found = detector.each(todo) if todo else np.zeros((0, 478, 2))
            if has_face(found).any():
                return found[has_face(found)]
            count *= 4
    raise StageError(
        f"no face in any of its {plan.count} images", plan.frames, "Choose a video in which one person faces the camera"
    )


def _summary(plan: work.Plan) -> dict:
    """tracker.json, from every chunk's figures."""
    parts = []
    for chunk in range(len(plan.chunks)):
        with np.load(plan.solved(chunk)) as npz:
            parts.append(dict(npz))
    parts = [p for p in parts if len(p["numbers"])]
    if not parts:
        raise StageError(f"no face could be followed in its {plan.count} images", plan.frames, "Choose another video")
    figures = {k: np.concatenate([p[k] for p in parts]) for k in ("numbers", "error_px", "eyes_px", "rigid", "raw")}
    numbers = figures.pop("numbers")
    person = work.read_identity(plan.identity)
    head = head_model.load(plan.head)
    return {
        "tracker": "avatarmake",
        "head_model": head.name,
        "head_model_digest": head.digest,
        "image_size": list(work.SIZE),
        "focal": person.focal,
        "frames": plan.count,
        "tracked": numbers.tolist(),
        "missing": sorted(set(range(plan.count)) - set(numbers.tolist())),
        "quality": {
            **quality.summary(numbers, **figures),
            "iterations": round(float(np.mean([p["iterations"] for p in parts])), 2),
            "identity_iterations": person.iterations,
        },
    }


def _say(facts: dict, tracker: dict) -> None:
    q = tracker["quality"]
    print(
        f"{facts['frames_out']} of {facts['frames_in']} frames, "
        f"landmark error {q['landmark_error_px']['median']:.2f} px "
        f"({q['landmark_error_pct']['median']:.2f} % of the eyes' distance), jitter {q['jitter_px']} px "
        f"(detections: {q['jitter_px_raw']}), focal length {tracker['focal']:.0f} px"
    )


if __name__ == "__main__":
    main(STAGE, run)
