"""frames: milliseconds a frame and peak memory, for a short and a long video, at 1080p unless it is told otherwise.

    python -m bench.frames [--short 300] [--long 3000] [--size 1920 1080]

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


def make(path: Path, frames: int, width: int, height: int) -> None:
    from skimage import data

    step = -(-840 // height)  # the portrait, moving, stays within the frame
    portrait = data.astronaut()[0:420:step, 60:400:step]
    blocks = np.random.default_rng(0).integers(60, 200, (height // 16 + 1, width // 16 + 1, 3)).astype(np.uint8)
    ground = blocks.repeat(16, 0).repeat(16, 1)[:height, :width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            image = ground.copy()
            x, y = int(0.36 * width + 60 / step * np.sin(i / 20)), int(0.37 * height + 20 / step * np.sin(i / 13))
            image[y : y + len(portrait), x : x + portrait.shape[1]] = portrait
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", type=int, default=300)
    parser.add_argument("--long", type=int, default=3000)
    parser.add_argument("--size", type=int, nargs=2, default=(1920, 1080), metavar=("WIDTH", "HEIGHT"))
    options = parser.parse_args()
    width, height = options.size
    with tempfile.TemporaryDirectory() as folder:
        for frames in (options.short, options.long):
            video = Path(folder) / f"{frames}.mp4"
            make(video, frames, width, height)
            arguments = [f"n{frames}", "--data", folder, "--video", str(video)]
            subprocess.run([sys.executable, "-m", "stages.frames", *arguments], check=True, stdout=subprocess.DEVNULL)
            done = json.loads((Path(folder) / f"n{frames}" / "frames" / "stage.json").read_text())
            each = 1000 * done["seconds"] / frames
            took = f"{each:.1f} ms a frame, {done['peak_memory_mb']:.0f} MB at most"
            print(f"frames, {width} x {height}, {frames} frames: {took}")


if __name__ == "__main__":
    main()
