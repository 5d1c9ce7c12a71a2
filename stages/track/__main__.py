"""Detect every chunk, find the person's shape and focal length once, solve every chunk, sum up."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avatarmake import assets, head_model
from avatarmake.contract.command import main
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.contract.stage import Job
from avatarmake.contract.workers import how_many, worker_pool
from avatarmake.detection import quality
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats.descriptions import read_crop
from avatarmake.geometry import jitter
from avatarmake.stretches import words
from stages.track import STAGE, TrackConfig, doubt, identity, work
from stages.track.landmarks import whereabouts
from stages.track.person import SIZE, read_person

MODULES = ("stages.track.work", "avatarmake.detection", "mediapipe")  # of its worker processes, imported once


def run(job: Job) -> dict | None:
    config, frames = job.config, job.read("frames")
    crop = read_crop(frames / "crop.json", job.subject.name, "source", "box", "fps", "source_frames")
    count, fps = len(crop["source_frames"]), crop["fps"]
    side = crop["box"][2] / IMAGE_SIZE  # source pixels per pixel of ours
    focal = identity.focal_guess((crop["source"]["width"] / side, crop["source"]["height"] / side))
    how = (config.head_model, config.landmarks, _landmarker(config), config.eyelids)
    plan = work.Plan(frames, job.out, count, fps, focal, *how, whereabouts(crop), config.refine)
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
    print(quality.line(tracker))
    _say_doubts(tracker)
    facts |= {name: tracker[name] for name in ("detector", "eyelids", "focal")}
    return {**facts, **tracker["quality"], "ms_per_frame": timings}


def _landmarker(config: TrackConfig) -> Path | None:
    """The model to detect with, None for the mesh; says which."""
    name = "face_landmarker"
    path = None if config.detector == "mesh" else assets.find(name)
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
    workers = how_many(job.config.workers, len(chunks))
    with worker_pool(workers, MODULES, work.begin, plan) as pool:
        person = pool.submit(work.identify)
        for name, todo, task in (("detector", to_detect, work.detect), ("solver", to_solve, work.solve)):
            if name == "solver":
                list(_frames(iter([person.result()]), timings))
            frames = sum(chunks.size(c) for c in todo)
            for _ in job.progress(_frames(pool.map(task, todo), timings), frames, f"track: {name}"):
                pass
    return {name: round(1e3 * seconds / frames, 2) for name, (seconds, frames) in timings.items()}


def _frames(done: Iterator[tuple[int, dict[str, float]]], timings: dict) -> Iterator[int]:
    """Frames done, one by one; what they took is added to timings: name -> seconds, frames."""
    for count, took in done:
        for name, seconds in took.items():
            total, frames = timings.get(name, (0.0, 0))
            timings[name] = total + seconds, frames + count
        yield from range(count)


def summary(plan: work.Plan) -> dict:
    """tracker.json, from every chunk's figures."""
    parts = []
    for chunk in range(len(plan.chunks)):
        with np.load(plan.solved(chunk)) as npz:
            parts.append(dict(npz))
    parts = [p for p in parts if len(p["numbers"])]
    if not parts:
        raise StageError(f"no face could be followed in its {plan.count} images", plan.frames, "Choose another video")
    figures = {k: np.concatenate([p[k] for p in parts]) for k in ("numbers", *quality.FIGURES)}
    numbers = figures.pop("numbers")
    person = read_person(plan.identity).identity
    head = head_model.load(plan.head)
    return {
        "tracker": "avatarmake",
        "detector": plan.detector,
        "eyelids": plan.eyelids,
        "head_model": head.name,
        "head_model_digest": head.digest,
        "head_model_sources": head.sources,
        "image_size": list(SIZE),
        "focal": person.focal,
        "frames": plan.count,
        "tracked": numbers.tolist(),
        "missing": sorted(set(range(plan.count)) - set(numbers.tolist())),
        "cuts": numbers[jitter.cuts(figures["raw"])].tolist(),
        **_doubts(plan),
        "quality": {
            **quality.summary(numbers, **figures),
            "iterations": round(float(np.mean([p["iterations"] for p in parts])), 2),
            "identity_iterations": person.iterations,
        },
    }


def _doubts(plan: work.Plan) -> dict[str, list[int]]:
    """Frames with a face that is not to be trusted, by what is wrong with it."""
    scores, details = np.concatenate([np.load(plan.doubts(c)) for c in range(len(plan.chunks))], axis=1)
    return {"covered": doubt.covered(scores).tolist(), "blurred": doubt.blurred(details, plan.fps).tolist()}


def _say_doubts(tracker: dict) -> None:
    """A line, where there are any. Frames are called by their images' numbers."""
    kinds = {"mostly covered": tracker.get("covered"), "blurred": tracker.get("blurred")}
    said = [f"{name} in {len(n)} images ({words(i + 1 for i in n)})" for name, n in kinds.items() if n]
    if said:
        print(f"track: the face is {' and '.join(said)}: they weigh less in training", flush=True)


if __name__ == "__main__":
    main(STAGE, run)
