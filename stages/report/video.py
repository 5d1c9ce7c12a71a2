"""test.mp4: the recording beside the avatar, in frames that training never saw."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE as SIDE
from stages.report import pictures
from stages.report.subject import Finished

BAR = 40  # the line of text above
LONGEST = 60  # seconds of video; the page holds all of it
SPLITS = {"last": "the end of the video", "blocks": "a passage left out"}


def write(path: Path, done: Finished, progress: Callable) -> int:
    """H.264, yuv420p, the dataset's rate, playable while it loads. The same pictures give the same bytes. -> frames."""
    import av

    rate = Fraction(done.index["fps"]).limit_denominator(1001)
    shown = done.held_out[: int(LONGEST * rate)]
    # bitexact: no version and no time in the file
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 2 * SIDE, SIDE + BAR, "yuv420p"
        stream.options = {"crf": "21", "preset": "medium", "threads": "2", "flags": "+bitexact"}
        for image in progress(_pictures(done, shown), total=len(shown), label="report: video"):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return len(shown)


def _pictures(done: Finished, shown: list[dict]) -> Iterator[np.ndarray]:
    for row in shown:
        split, number = row["split"], row["frame"]
        note = f"frame {number} · never seen in training: {SPLITS.get(split, split)}"
        yield np.concatenate([_bar(note), pictures.side_by_side(done, number)])


def _bar(note: str) -> np.ndarray:
    """(BAR, 2 SIDE, 3): what is left, what is right, and which frame it is."""
    from PIL import Image, ImageDraw, ImageFont

    bar = Image.new("RGB", (2 * SIDE, BAR), (17, 24, 39))
    draw = ImageDraw.Draw(bar)
    name, small = ImageFont.load_default(18), ImageFont.load_default(14)
    draw.text((14, BAR / 2), "Recording", (255, 255, 255), name, anchor="lm")
    draw.text((SIDE + 14, BAR / 2), "Avatar", (255, 255, 255), name, anchor="lm")
    draw.text((2 * SIDE - 14, BAR / 2), note, (156, 163, 175), small, anchor="rm")
    return np.asarray(bar)
