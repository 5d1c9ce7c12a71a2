"""flame-head-tracker: memory of its video reader and matting over a long video, patched and as upstream has them.

    python -m bench.flame_head_tracker [--seconds 180] [--most-gb 3]

A synthetic video of 1920 x 1080 at 60 frames a second goes through both, subsampled to 30, each run in a process of its
own. Matting is a stand-in with RobustVideoMatting's interface, recurrent state included: its own memory is not what is
compared. Upstream keeps every frame, so it only gets as much of the video as fits in --most-gb; its need for all of it
is extrapolated from two lengths. Needs a checkout of upstream (make patches says how). The target: 1.5 GB for the
patched, however long the video.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH, HEIGHT, RATE, WANTED = 1920, 1080, 60, 30
CLIP = 2  # seconds that are encoded; the rest of the video repeats them
FRAME_MB = WIDTH * HEIGHT * 3 / 1e6


def film(path: Path, seconds: float) -> None:
    """A moving pattern with noise: CLIP seconds encoded, their packets repeated."""
    import av

    clip = path.with_name("clip.mp4")
    rng, y, x = np.random.default_rng(0), *np.mgrid[:HEIGHT, :WIDTH]
    noise = rng.integers(0, 12, (HEIGHT, WIDTH, 1), np.uint8)
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 8_000_000
        for i in range(int(CLIP * RATE)):
            image = np.stack([(x + 4 * i) % 240, (y + 2 * i) % 240, (x + y) % 240], -1).astype(np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image + noise, format="rgb24")))
        out.mux(stream.encode())
    with av.open(str(path), "w") as out:
        copy, length = None, int(CLIP * RATE)
        for turn in range(max(round(seconds / CLIP), 1)):
            with av.open(str(clip)) as source:
                stream = source.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                step = round(1 / (RATE * stream.time_base))
                for packet in source.demux(stream):
                    if packet.dts is not None:
                        packet.pts += turn * length * step
                        packet.dts += turn * length * step
                        packet.stream = copy
                        out.mux(packet)


def matting_network():
    """A network with RobustVideoMatting's interface and little work: foreground, alpha, four recurrent states."""
    import torch

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(4, 1, 3, padding=1)

        def forward(self, rgb, *states_and_ratio):
            *states, ratio = states_and_ratio
            small = torch.nn.functional.interpolate(rgb, scale_factor=ratio / 4)
            before = torch.zeros_like(small[:, :1]) if states[0] is None else states[0]
            alpha = torch.sigmoid(self.convolution(torch.cat([small, before], 1)))
            whole = torch.nn.functional.interpolate(alpha, rgb.shape[2:])
            return rgb, whole, alpha, *states[1:]

    torch.manual_seed(0)
    return Network().eval()


def measure(folder: Path, video: Path) -> dict:
    """Read and matte `video` with the modules of the copy at `folder`: frames given, seconds, peak memory."""
    sys.path.insert(0, str(folder))
    import torch
    from utils.matting_utils import matting_video_frames
    from utils.video_utils import video_to_images

    torch.set_num_threads(1)
    network = matting_network()
    before, began = _peak_mb(), time.monotonic()
    frames = matting_video_frames(network, video_to_images(str(video), RATE, WANTED))
    given, shape = 0, ()
    for frame in frames:
        given, shape = given + 1, frame.shape
    return {
        "given": given,
        "shape": shape,
        "seconds": time.monotonic() - began,
        "peak_mb": _peak_mb(),
        "before_mb": before,
    }


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run(folder: Path, video: Path) -> dict:
    words = [sys.executable, "-m", "bench.flame_head_tracker", "--measure", str(folder), str(video)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--most-gb", type=float, default=3, help="what upstream's own reader may take")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    from avatarmake import patches
    from avatarmake.patches import checkout, series

    patched = patches.prepare("flame-head-tracker")
    theirs = checkout.folder(series.upstream("flame-head-tracker"))
    frames = options.seconds * RATE
    with tempfile.TemporaryDirectory() as scratch:
        for seconds in (2, options.seconds):
            video = Path(scratch) / f"{seconds}.mp4"
            film(video, seconds)
            got = run(patched, video)
            width, height, ms = got["shape"][1], got["shape"][0], 1e3 * got["seconds"] / (seconds * RATE)
            print(
                f"patched, {seconds} s of {WIDTH} x {HEIGHT} at {RATE}: {got['given']} frames of {width} x {height}, "
                f"{got['peak_mb']:.0f} MB at most ({got['before_mb']:.0f} before it), {ms:.1f} ms a source frame",
                flush=True,
            )
        most = options.most_gb * 1e3 / FRAME_MB / RATE  # it decodes all frames, then keeps half, then mattes as many
        lengths = [CLIP, max(int(most) // CLIP * CLIP, 2 * CLIP)]
        peaks = []
        for seconds in lengths:
            video = Path(scratch) / f"{seconds}.mp4"
            film(video, seconds)
            got = run(theirs, video)
            peaks.append(got["peak_mb"])
            print(
                f"upstream's own, {seconds} s of it: {got['given']} frames, {got['peak_mb']:.0f} MB at most", flush=True
            )
        growth = (peaks[1] - peaks[0]) / ((lengths[1] - lengths[0]) * RATE)
        whole = (peaks[0] + growth * (frames - lengths[0] * RATE)) / 1e3
        print(f"upstream's own: {growth:.1f} MB a source frame, so {whole:.0f} GB for {options.seconds} s")


if __name__ == "__main__":
    main()
