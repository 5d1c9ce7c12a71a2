"""frames: milliseconds a frame and peak memory, for a short and a long video, at 1080p unless it is told otherwise.

    python -m bench.frames [--frames 300 3000] [--size 1920 1080] [--track] [--video FILE]

Makes H.264 videos (not timed) of a portrait that moves over a noisy ground, or of FILE, forwards and backwards, scaled
to the size, then runs the stage as the engine does, in a process of its own, and prints what it took; with --track the
next one too. The targets: at most 1 GB, the same for all lengths; both stages in 35 ms a frame at 1080p.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

import av
import numpy as np

from avatarmake.formats.images import crop, resize


def portrait(width: int, height: int) -> Iterator[np.ndarray]:
    """Endless images (height,width,3)."""
    from skimage import data

    step = -(-840 // height)  # the portrait, moving, stays within the frame
    portrait = data.astronaut()[0:420:step, 60:400:step]
    blocks = np.random.default_rng(0).integers(60, 200, (height // 16 + 1, width // 16 + 1, 3)).astype(np.uint8)
    ground = blocks.repeat(16, 0).repeat(16, 1)[:height, :width]
    for i in count():
        image = ground.copy()
        x, y = int(0.36 * width + 60 / step * np.sin(i / 20)), int(0.37 * height + 20 / step * np.sin(i / 13))
        image[y : y + len(portrait), x : x + portrait.shape[1]] = portrait
        yield image


def film(video: Path, width: int, height: int) -> Iterator[np.ndarray]:
    """The same of a video, scaled to the height, in the middle of the width; forwards, backwards, forwards ..."""
    with av.open(str(video)) as container:
        seen = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for small in cycle(seen + seen[::-1]):
        image = resize(small, (round(small.shape[1] * height / small.shape[0]), height))
        yield crop(image, (image.shape[1] - width) // 2, 0, width, height)


def write(path: Path, images: Iterator[np.ndarray], width: int, height: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="*", default=[300, 3000])
    parser.add_argument("--size", type=int, nargs=2, default=(1920, 1080), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--track", action="store_true")
    parser.add_argument("--video", type=Path)
    options = parser.parse_args()
    width, height = options.size
    with tempfile.TemporaryDirectory() as folder:
        for frames in options.frames:
            video, total = Path(folder) / f"{frames}.mp4", 0.0
            images = film(options.video, width, height) if options.video else portrait(width, height)
            write(video, islice(images, frames), width, height)
            stages = [("frames", "frames", ["--video", str(video)])] + [("track", "tracking", [])] * options.track
            for stage, writes, more in stages:
                arguments = [f"n{frames}", "--data", folder, *more]
                subprocess.run([sys.executable, "-m", f"stages.{stage}", *arguments], check=True, stdout=sys.stderr)
                done = json.loads((Path(folder) / f"n{frames}" / writes / "stage.json").read_text())
                each = 1000 * done["seconds"] / frames
                total += each
                took = f"{each:.1f} ms a frame, {done['peak_memory_mb']:.0f} MB at most"
                print(f"{stage}, {width} x {height}, {frames} frames: {took}", flush=True)
            if options.track:
                print(f"both: {total:.1f} ms a frame", flush=True)


if __name__ == "__main__":
    main()
