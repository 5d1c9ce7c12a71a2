"""How long convert takes for 10,000 frames, and how much memory; floors: 30 s on 2 cores, 1 GB and flat.

    python -m bench.convert [--frames 10000] [--runs 3]

Makes a subject of synthetic tracking (the open head, a head that turns and speaks) in a temporary folder, converts it
in a process of its own, and prints the median of the runs.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.contract import layout
from avatarmake.contract.publication import RECEIPT
from avatarmake.formats.tracking import Tracking, write_tracking
from avatarmake.geometry import cameras
from avatarmake.limits import cores


def performance(index: int, shape: np.ndarray) -> Tracking:
    """Frame `index` of somebody who talks and looks around."""
    s = np.sin(np.arange(120) * 0.7 + index * np.linspace(0.02, 0.4, 120))
    return Tracking(
        shape=shape,
        expression=s[:100] * 0.5,
        jaw_pose=np.array([0.1 + 0.1 * s[100], 0.01, 0]),
        eye_pose=0.1 * s[101:107],
        cam=np.array([0.4 * s[107], 0.2 * s[108], 0.1 * s[109], 0.02 * s[110], 0.02 * s[111], 0.9 + 0.02 * s[112]]),
        intrinsics=cameras.intrinsics_from_focal(1300, (512, 512)),
        eyelids=s[113:115] ** 2,
        landmarks=np.zeros((478, 2)),
    )


def make_subject(data: Path, frames: int) -> layout.Subject:
    subject, head = layout.Subject(data, "bench"), head_model.load("open")
    images, tracking = subject.directory("frames"), subject.directory("tracking")
    shape = np.random.default_rng(0).normal(size=300)
    for directory in (images, tracking):
        directory.mkdir(parents=True)
    for i in range(frames):
        layout.frame_image(images, i + 1).write_bytes(b"x" * 60_000)  # as large as a JPEG; convert does not look inside
        write_tracking(layout.tracking_file(tracking, i), performance(i, shape))
    crop = {"fps": 25, "source_frames": list(range(frames)), "times": [i / 25 for i in range(frames)]}
    (images / "crop.json").write_text(json.dumps(crop))
    tracker = {"tracker": "bench", "head_model": head.name, "head_model_digest": head.digest}
    (tracking / "tracker.json").write_text(json.dumps(tracker))
    for directory in (images, tracking):
        (directory / RECEIPT).write_text(json.dumps({"outputs": {"digest": directory.name}}))
    return subject


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--frames", type=int, default=10_000)
    ask.add_argument("--runs", type=int, default=3)
    asked = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subject = make_subject(Path(folder), asked.frames)
        seconds, memory = [], []
        for _ in range(asked.runs):
            command = [sys.executable, "-m", "stages.convert", subject.name, "--data", folder, "--force"]
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
            stamp = json.loads((subject.directory("dataset") / RECEIPT).read_text())
            memory.append(stamp["peak_memory_mb"])
    print(
        f"convert: {asked.frames} frames on {cores()} cores: {statistics.median(seconds):.1f} s "
        f"with start, checks and digests ({', '.join(f'{s:.1f}' for s in seconds)}), {max(memory):.0f} MB at most, "
        f"reprojection {stamp['facts']['reprojection_px_max']:.1e} px at most"
    )


if __name__ == "__main__":
    main()
