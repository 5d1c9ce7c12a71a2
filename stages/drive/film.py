"""Films: H.264 with sound, at times of the driver's own; ProRes 4444 where there is no background.

Frames come one at a time, and each goes into the file before the next: an hour takes no more memory than a second.
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from stages.drive.sound import Sound, Track

CLOCK = 90000  # ticks a second: those of MPEG, in which any usual rate is whole
H264 = {"crf": "18", "preset": "veryfast", "threads": "2", "flags": "+bitexact"}
PRORES = {"profile": "4444", "vendor": "apl0", "flags": "+bitexact"}


class Film:
    """One file of pictures (H,W,3), or (H,W,4) where `alpha`. The same pictures and times give the same bytes."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, sound: Sound, alpha: bool = False):
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        self._container = av.open(str(path), "w", format="mov" if alpha else "mp4", options=options)
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("prores_ks" if alpha else "libx264", rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuva444p10le" if alpha else "yuv420p"
        self._stream.options = dict(PRORES if alpha else H264)
        self._stream.time_base = self._stream.codec_context.time_base = Fraction(1, CLOCK)
        self._stream.codec_context.color_range = 1  # say which matrix the colours went through, or players guess
        self._stream.codec_context.colorspace = 5
        self._form = "rgba" if alpha else "rgb24"
        self._sound: Track | None = sound.into(self._container) if sound.there else None

    def write(self, picture: np.ndarray, time: float, end: float) -> None:
        """Shown from `time` to `end`, seconds from the film's start."""
        frame = av.VideoFrame.from_ndarray(picture, format=self._form)
        frame.pts, frame.time_base = round(time * CLOCK), Fraction(1, CLOCK)
        frame.duration = max(round(end * CLOCK) - frame.pts, 1)
        self._container.mux(self._stream.encode(frame))
        if self._sound:
            self._sound.write(time)

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
                if self._sound:
                    self._sound.write(None)
        finally:
            if self._sound:
                self._sound.close()
            self._container.close()
