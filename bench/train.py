"""Training: milliseconds a step at 256 and 512 px with 14,000 Gaussians, and where they go.

    python -m bench.train [--gaussians 14000] [--runs 60] [--data FOLDER --id NAME]

On a subject drawn by the rasteriser itself (12 frames), unless one is named: time depends little on who it is. `CPU` is
what all threads worked; the smallest of the runs is given beside the median, because neighbours only ever add. What an
avatar reaches on the demo subject and on a real video is in bench/RECORD.md, with the commands.
"""

import argparse
import cProfile
import os
import pstats
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in stages/train/__main__.py

from stages.train.avatar import fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from tests.train import subject

PARTS = {  # what a person wants to know -> functions of the profile, each without what it calls
    "network, forward and backward": [
        ("__init__.py", "linear"),
        ("~", "addmm"),
        ("~", "linear"),
        ("~", "run_backward"),
    ],
    "binding": [("binding.py", "_bind")],
    "projection and tiles": [("projection.py", "project"), ("tiles.py", "sort_into_tiles"), ("~", "sort")],
    "blending": [("blending.py", "blend")],
    "loss": [("losses.py", "_huber")],
    "blending, backward": [("blending.py", "blend_backward")],
    "projection, backward": [("projection.py", "project_backward"), ("projection.py", "total")],
    "binding, backward": [("binding.py", "_bind_backward")],
    "Adam": [("adam.py", "_move")],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=14000)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--id", default="demo")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.data:
            dataset = Dataset(args.data / args.id / "dataset", args.data / args.id / "masks", args.id)
        else:
            dataset = Dataset(*subject.write(Path(folder), 12, size=512, gaussians=20000))
        parts = split(len(dataset))
        for resolution in (256, 512):
            avatar = fresh(dataset, parts.train, args.gaussians, 0, choose("cpu"))
            trainer = Trainer(avatar, dataset, parts, Schedule(10**6, resolution, 0.0, 0), 40.0)
            measure(trainer, resolution, args.runs)


def measure(trainer: Trainer, resolution: int, runs: int) -> None:
    for _ in range(2 * len(trainer.split.train)):  # compiled, pictures and meshes in memory
        trainer.step()
    times, before = [], time.process_time()
    for _ in range(runs):
        start = time.perf_counter()
        trainer.step()
        times.append((time.perf_counter() - start) * 1e3)
    cpu = (time.process_time() - before) / runs * 1e3
    print(f"{resolution} px: {statistics.median(times):.1f} ms a step, {min(times):.1f} at least, {cpu:.1f} ms CPU")
    profile = cProfile.Profile()
    start = time.perf_counter()
    profile.runcall(lambda: [trainer.step() for _ in range(runs)])
    rest = time.perf_counter() - start
    rows = pstats.Stats(profile).stats
    for what, functions in PARTS.items():
        total = sum(v[2] for key, v in rows.items() if any(_is(key, *f) for f in functions))
        rest -= total
        print(f"    {what}: {total / runs * 1e3:.1f} ms")
    print(f"    all else: {rest / runs * 1e3:.1f} ms")


def _is(key: tuple, file: str, function: str) -> bool:
    """Whether a row of the profile is that function; built-in ones have no file, and more in their name."""
    path, _, name = key
    return function in name if path == file == "~" else path.endswith("/" + file) and name == function


if __name__ == "__main__":
    main()
