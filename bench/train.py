"""Training: milliseconds a step at 256 and 512 px with 14,000 Gaussians, and where they go.

    python -m bench.train [--gaussians 14000] [--runs 60]

On a subject drawn by the rasteriser itself (12 frames): time depends little on who it is. What an avatar reaches on the
demo subject and on a real video is in bench/RECORD.md, with the commands.
"""

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path

from stages.train.avatar import fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from tests.train import subject

PARTS = {  # what a person wants to know -> functions of the profile, cumulative
    "network and binding, forward": ("avatar.py", "learned"),
    "rasteriser, forward": ("rasteriser.py", "forward"),
    "rasteriser, backward": ("rasteriser.py", "backward"),
    "binding, backward": ("binding.py", "backward"),
    "loss": ("losses.py", "forward"),
    "all of backward": ("_tensor.py", "backward"),
    "Adam": ("adam.py", "step"),
    "pose correction": ("poses.py", "step"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=14000)
    parser.add_argument("--runs", type=int, default=60)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset(*subject.write(Path(folder), 12, size=512, gaussians=20000))
        parts = split(len(dataset))
        for resolution in (256, 512):
            avatar = fresh(dataset, parts.train, args.gaussians, 0, choose("cpu"))
            trainer = Trainer(avatar, dataset, parts, Schedule(10**6, resolution, 0.0, 0), 40.0)
            measure(trainer, resolution, args.runs)


def measure(trainer: Trainer, resolution: int, runs: int) -> None:
    for _ in range(2 * len(trainer.split.train)):  # compiled, pictures and meshes in memory
        trainer.step()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        trainer.step()
        times.append((time.perf_counter() - start) * 1e3)
    print(f"{resolution} px: {statistics.median(times):.1f} ms a step")
    profile = cProfile.Profile()
    profile.runcall(lambda: [trainer.step() for _ in range(runs)])
    rows = pstats.Stats(profile).stats
    for what, (file, function) in PARTS.items():
        total = sum(v[3] for (path, _, name), v in rows.items() if path.endswith("/" + file) and name == function)
        if total:
            print(f"    {what}: {total / runs * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
