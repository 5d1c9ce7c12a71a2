"""How long track takes per frame, and how much memory; floors on 2 cores: solver 10 ms at about 105 landmarks, 1 GB.

    python -m bench.track [--runs 3] [--frames 300 30000] [--refined 300 2000] [--subject data/demo]

Solver: one core, 100 frames of a made-up performance of the open head with noise of 0.5 px, landmarks sets core, face
and all, median of the runs. Memory: the stage's own worker processes over so many frames of such landmarks (files
written and all), the detector left out. With --subject (its frames/ must be there) the whole stage, in a process of
its own, median of the runs.
"""

import argparse
import json
import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from avatarmake import head_model  # noqa: E402
from avatarmake.contract.layout import frame_image  # noqa: E402
from avatarmake.contract.provenance import PeakMemory  # noqa: E402
from avatarmake.contract.workers import how_many, worker_pool  # noqa: E402
from avatarmake.formats import images  # noqa: E402
from stages.track import __main__ as stage  # noqa: E402
from stages.track import identity, points, surface, work  # noqa: E402
from stages.track import parameters as P  # noqa: E402
from stages.track.person import SIZE, Person, write_person  # noqa: E402
from stages.track.photometric import Texture  # noqa: E402
from stages.track.projection import Projection  # noqa: E402
from stages.track.solver import FrameSolver  # noqa: E402

FOCAL = 1450.0


def performance(first: int, last: int) -> np.ndarray:
    """Parameters of frames first .. last - 1 of somebody who talks, blinks and looks around: (n,115)."""
    t = np.arange(first, last)[:, None] / 25
    wave = np.sin(6.28 * t * np.linspace(0.1, 1.2, P.N) + np.arange(P.N) ** 2)
    p = wave * P.vector(0.5, (0.08, 0.01, 0.01), 0.1, 0, 0.15, (0.01, 0.01, 0.02))
    p[:, P.JAW.start] = np.abs(p[:, P.JAW.start])
    p[:, P.EYELIDS] = np.exp(-(((t + 0.5) % 3 - 1) ** 2) / 0.005)
    p[:, P.TRANSLATION.stop - 1] += 1.1
    return p


def landmarks(first: int, last: int, projection: Projection) -> np.ndarray:
    """-> (n,478,2) px with noise."""
    uv = projection.uv(performance(first, last).astype(np.float32))
    noise = np.random.default_rng(first).normal(size=uv.shape) * 0.5
    out = np.zeros((last - first, 478, 2), np.float32)
    out[:, projection.model.landmark_ids] = uv + noise
    return out


def time_solver(runs: int) -> None:
    head, priors, shape = head_model.load("open"), P.priors(), np.zeros(300)
    seen = landmarks(0, 100, Projection(head.at_landmarks(head.landmark_ids), shape, FOCAL, SIZE))
    for name in points.SETS:
        ids = points.chosen(name, head.landmark_ids)
        solver = FrameSolver(Projection(head.at_landmarks(ids), shape, FOCAL, SIZE), points.TRUST[ids], 1, priors)
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            begin = identity.start(solver.projection, seen[:, ids], priors, np.arange(100))
            solution = solver.solve(begin, seen[:, ids], np.arange(100))
            times.append((time.perf_counter() - started) * 10)
        print(f"solver, {name}: {len(ids)} landmarks, {statistics.median(times):.2f} ms a frame, "
              f"{solution.iterations} iterations", flush=True)  # fmt: skip


def person(refined: bool) -> Person:
    """Somebody of no particular shape, with a texture of noise."""
    rng, count = np.random.default_rng(0), len(surface.chosen(head_model.load("open")))
    textures = [Texture(s, *rng.uniform(0.1, 1, (2, count)).astype(np.float32)) for s in (2.0, 1.0)]
    return Person(identity.Identity(np.zeros(300, np.float32), FOCAL, 1.2), textures if refined else [])


def measure_memory(frames: int, refined: bool) -> None:
    head = head_model.load("open")
    projection = Projection(head.at_landmarks(head.landmark_ids), np.zeros(300), FOCAL, SIZE)
    with tempfile.TemporaryDirectory() as folder:
        plan = work.Plan(Path(folder), Path(folder), frames, 25.0, FOCAL, "open", "face")
        plan.scratch.mkdir()
        write_person(plan.identity, person(refined))
        if refined:
            images.write_jpeg(
                frame_image(plan.frames, 1), np.random.default_rng(1).integers(0, 255, (512, 512, 3), np.uint8)
            )
            for n in range(2, frames + 1):
                os.link(frame_image(plan.frames, 1), frame_image(plan.frames, n))
        for chunk in range(len(plan.chunks)):
            np.save(plan.detected(chunk), landmarks(*plan.chunks.span(chunk), projection))
            np.save(plan.doubts(chunk), np.full((2, plan.chunks.size(chunk)), np.nan, np.float32))
        started = time.perf_counter()
        with PeakMemory() as memory:
            chunks = range(len(plan.chunks))
            with worker_pool(how_many(0, len(chunks)), stage.MODULES, work.begin, plan) as pool:
                for _ in pool.map(work.solve, chunks):
                    pass
            stage.summary(plan)
        took = time.perf_counter() - started
        name = "refined" if refined else "by landmarks"
        ms = took / frames * 1e3
        print(f"memory, {frames} frames {name}: {memory.peak_mb:.0f} MB, {ms:.2f} ms a frame with writing", flush=True)


def time_stage(subject: Path, runs: int) -> None:
    times, memory, facts = [], 0.0, {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(subject / "frames", Path(folder) / subject.name / "frames")
            command = [sys.executable, "-m", "stages.track", subject.name, "--data", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            stamp = json.loads((Path(folder) / subject.name / "tracking" / "stage.json").read_text())
        facts, memory = stamp["facts"], max(memory, stamp["peak_memory_mb"])
        times.append(stamp["seconds"] / facts["frames_in"] * 1e3)
    print(f"stage, {subject.name}: {statistics.median(times):.1f} ms a frame, {memory:.0f} MB, per core and frame "
          f"{facts['ms_per_frame']}, error {facts['landmark_error_pct']} %, jitter {facts['jitter_px']} px of "
          f"{facts['jitter_px_raw']}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--frames", type=int, nargs="*", default=[300, 30_000])
    parser.add_argument("--refined", type=int, nargs="*", default=[300, 2000])
    parser.add_argument("--subject", type=Path)
    options = parser.parse_args()
    time_solver(options.runs)
    for refined, counts in ((False, options.frames), (True, options.refined)):
        for frames in counts:
            measure_memory(frames, refined)
    if options.subject:
        time_stage(options.subject, options.runs)


if __name__ == "__main__":
    main()
