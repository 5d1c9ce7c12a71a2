"""Detect every chunk, find the person's shape and focal length once, solve every chunk, sum up."""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stages import assets, head_model
from stages.command import main
from stages.contract import Job
from stages.errors import Exit, StageError
from stages.layout import IMAGE_SIZE
from stages.publication import whole
from stages.track import STAGE, TrackConfig, identity, quality, work


def run(job: Job) -> dict | None:
    config, frames = job.config, job.read("frames")
    crop = json.loads((frames / "crop.json").read_text())
    count, fps = len(crop["source_frames"]), crop["fps"]
    side = crop["box"][2] / IMAGE_SIZE  # source pixels per pixel of ours
    focal = identity.focal_guess((crop["source"]["width"] / side, crop["source"]["height"] / side))
    plan = work.Plan(
        frames, job.out, count, fps, focal, config.head_model, config.landmarks, _landmarker(config), config.eyelids
    )
    head = head_model.load(config.head_model)  # a missing asset is said before the work
    if head.sources:
        print(f"track: head model {head.name}: {'; '.join(f'{what} {where}' for what, where in head.sources.items())}")
    finished = job.out / "tracker.json"
    if not finished.exists():
        plan.scratch.mkdir(exist_ok=True)
        part = plan.chunks.part(*config.part())
        timings = _work(job, plan, part)
        if config.shard is not None:
            return None
        with whole(finished) as path:
            path.write_text(json.dumps(summary(plan), indent=1))
    else:
        timings = {}
    shutil.rmtree(plan.scratch, ignore_errors=True)
    tracker = json.loads(finished.read_text())
    facts = {"frames_in": tracker["frames"], "frames_out": len(tracker["tracked"]), "missing": tracker["missing"]}
    _say(facts, tracker)
    facts |= {name: tracker[name] for name in ("detector", "eyelids", "focal")}
    return {**facts, **tracker["quality"], "ms_per_frame": timings}


def _landmarker(config: TrackConfig) -> Path | None:
    """The model to detect with, None for the mesh; says which."""
    name = "face_landmarker"
    needed = config.detector == "landmarker" or config.eyelids == "scores"
    path = None if config.detector == "mesh" else assets.need(name) if needed else assets.find(name)
    absent = "" if config.detector == "mesh" else f", as assets/ has no {assets.manifest()[name].file}"
    print(f"track: detector: {path.name if path else f'the face mesh of mediapipe{absent}'}", flush=True)
    return path


def _work(job: Job, plan: work.Plan, part: range) -> dict:
    """Detect, find the identity, solve: each only where it has not been done. -> milliseconds of one core per frame."""
    chunks = plan.chunks
    to_detect = [c for c in chunks.around(part) if not plan.detected(c).exists()]
    to_solve = [c for c in part if not plan.solved(c).exists()]
    if not to_solve:
        return {}
    timings = {}
    with worker_pool(job.config.workers, plan) as pool:
        person = pool.submit(work.identify)
        for name, todo, task in (("detector", to_detect, work.detect), ("solver", to_solve, work.solve)):
            if name == "solver":
                timings["identity"] = round(1e3 * person.result() / plan.count, 2)
            frames, seconds = sum(chunks.size(c) for c in todo), []
            for _ in job.progress(_frames(pool.map(task, todo), seconds), frames, f"track: {name}"):
                pass
            if frames:
                timings[name] = round(1e3 * sum(seconds) / frames, 2)
    return timings


def _frames(done: Iterator[tuple[int, float]], seconds: list) -> Iterator[int]:
    for count, took in done:
        seconds.append(took)
        yield from range(count)


@contextmanager
def worker_pool(asked: int, plan: work.Plan) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, one core each: BLAS with one thread, so that the bits do not depend on how many work."""
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # read when a worker imports numpy
    count = min(asked or len(os.sched_getaffinity(0)), len(plan.chunks))
    context = get_context("forkserver")  # imports once, and its children share the pages
    context.set_forkserver_preload(["stages.track.work", "stages.detection", "mediapipe"])
    with ProcessPoolExecutor(count, context, work.begin, (plan, os.getpid())) as pool:
        try:
            yield pool
        except BrokenProcessPool as e:
            what = "a worker process was killed: most likely the host is out of memory"
            raise StageError(what, plan.out, "Run it again with --workers 1, and it goes on", Exit.ENVIRONMENT) from e
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def summary(plan: work.Plan) -> dict:
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
        "detector": plan.detector,
        "eyelids": plan.eyelids,
        "head_model": head.name,
        "head_model_digest": head.digest,
        "head_model_sources": head.sources,
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
