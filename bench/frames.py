"""frames: milliseconds a frame and peak memory at 1080p, for a short and a long video.

    python -m bench.frames [--short 300] [--long 3000]

Makes two H.264 videos of a portrait that moves over a noisy ground (not timed), then runs the stage as the engine does,
in a process of its own, and prints what it took. The target: at most 1 GB, the same for both.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np


def make(path: Path, frames: int) -> None:
    from skimage import data

    portrait = data.astronaut()[0:420, 60:400]
    blocks = np.random.default_rng(0).integers(60, 200, (68, 120, 3)).astype(np.uint8)
    ground = blocks.repeat(16, 0).repeat(16, 1)[:1080]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for i in range(frames):
            image = ground.copy()
            x, y = 700 + int(60 * np.sin(i / 20)), 400 + int(20 * np.sin(i / 13))
            image[y : y + 420, x : x + 340] = portrait
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=300)
    parser.add_argument("--long", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for frames in (options.short, options.long):
            video = Path(folder) / f"{frames}.mp4"
            make(video, frames)
            arguments = [f"n{frames}", "--data", folder, "--video", str(video)]
            subprocess.run([sys.executable, "-m", "stages.frames", *arguments], check=True, stdout=subprocess.DEVNULL)
            done = json.loads((Path(folder) / f"n{frames}" / "frames" / "stage.json").read_text())
            each = 1000 * done["seconds"] / frames
            print(f"frames, 1080p, {frames} frames: {each:.1f} ms a frame, {done['peak_memory_mb']:.0f} MB at most")


if __name__ == "__main__":
    main()
