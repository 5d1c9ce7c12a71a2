"""Test videos, made on the spot: scikit-image's astronaut (public domain) moved over a plain ground."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

av = pytest.importorskip("av")
data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """(360, 300, 3): head and shoulders, the face 85 pixels high about (145, 110)."""
    return data.astronaut()[0:360, 80:380]


@pytest.fixture(scope="session")
def scene(portrait):
    """scene(w, h, faces=[(x, y)]) -> (h, w, 3): a portrait with its corner at each of the places, cut at the edges."""

    def make(width: int, height: int, places: Iterable[tuple[int, int]] = ((0, 0),), shrink: int = 1) -> np.ndarray:
        image = np.full((height + 1200, width + 1200, 3), 96, np.uint8)
        small = portrait[::shrink, ::shrink]
        for x, y in places:
            image[600 + y : 600 + y + small.shape[0], 600 + x : 600 + x + small.shape[1]] = small
        return image[600 : 600 + height, 600 : 600 + width]

    return make


def write_video(path: Path, images: Iterable, times: list[float] | None = None, rate: int = 25, **options) -> Path:
    """Encode RGB or RGBA images of 8 or 16 bits; `times` in seconds makes the frame rate vary. options: codec, pix_fmt,
    rotation, gop, aspect (of a pixel), encoder and container (their own options), colours (transfer, primaries,
    matrix), base (of the encoder's time)."""
    container = av.open(str(path), "w", options=options.get("container", {}))
    stream = None
    for i, image in enumerate(images):
        if stream is None:
            codec = options.get("codec", "libx264")
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = image.shape[:2]
            stream.pix_fmt = options.get("pix_fmt", "yuv444p")
            stream.codec_context.gop_size = options.get("gop", 50)
            defaults = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {}
            stream.options = defaults | options.get("encoder", {})
            if "base" in options:
                stream.codec_context.time_base = options["base"]
            if "aspect" in options:
                stream.codec_context.sample_aspect_ratio = options["aspect"]
            if "rotation" in options:
                stream.set_display_rotation(options["rotation"], hflip=options.get("hflip", False))
        depth = "rgb48le" if image.dtype == np.uint16 else "rgba" if image.shape[2] == 4 else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), depth)
        if "base" in options:
            frame.time_base, frame.pts = Fraction(1, rate), i
        if "colours" in options:
            frame = frame.reformat(format=stream.pix_fmt)
            for place in (frame, stream.codec_context):
                place.color_trc, place.color_primaries, place.colorspace = options["colours"]
        if times:
            frame.time_base, frame.pts = Fraction(1, 1000), round(times[i] * 1000)
            stream.codec_context.time_base = frame.time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
    container.close()
    return path


@pytest.fixture
def video(tmp_path):
    """video(images, ...) -> path of an encoded video."""

    def make(images: Iterable, *args, suffix: str = ".mp4", **options) -> Path:
        return write_video(tmp_path / f"made{suffix}", images, *args, **options)

    return make
