"""Reading a video: upright RGB frames one at a time, whatever the file's rotation, pixels, timestamps and faults.

Memory does not depend on the video's length: a frame is converted to RGB only when it is asked for. What a file says of
itself is checked where files are known to be wrong, and what was done about it is in `lines`.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from avatarmake.errors import StageError
from stages.frames.colour import Colours
from stages.frames.interlaced import Deinterlacer
from stages.frames.shapes import Orientation, is_turned, most_used, turned
from stages.frames.streams import Stream, Survey
from stages.frames.timing import Clock, Rates, rate_by_count, rate_by_timestamps, same

READABLE = 0.9  # of the frames that are there: with less, a video is refused rather than half used
ENOUGH_KEYFRAMES = 12  # to see where a head goes without decoding all that lies between
PROBED = 16  # frames from whose timestamps it is seen whether they make sense: more than any encoder reorders
ONE_SHAPE = ("mov", "avi")  # containers that state one for the whole stream, and list their packets in front


@dataclass
class Frame:
    """One decoded frame; `index` counts them in the order they are shown, `time` is in seconds from the first."""

    index: int
    time: float
    video: Any  # what it came from: a Video, or images
    coded: Any

    def rgb(self) -> np.ndarray:
        return self.video.upright(self.coded)


class Video:
    """An open video file. Raises StageError when it cannot be opened or nothing in it can be decoded.

    width, height: of the upright image, square pixels. fps: the average. duration: seconds, or None.
    rotation: degrees clockwise that the file asks a player to turn it.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = Stream(path)
        self._forget()
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> None:
        probed = list(islice(self._file.decode(), PROBED))
        if not probed:
            raise StageError("not one frame of it can be decoded", self.path, "Give another file")
        self._orientation = Orientation(self._file.stream.sample_aspect_ratio or 1)
        self.colours = Colours(probed[0], self.path)
        self._start = probed[0].time or 0.0
        self.duration = self._duration()
        one = any(name in self._file.container.format.name for name in ONE_SHAPE)
        self._shape = most_used({} if one else self._survey.counts()) or self._orientation.shape(probed[0])
        self.width, self.height = self._shape.width, self._shape.height
        self.rotation = -probed[0].rotation % 360
        self._clock = self._timed([frame.time for frame in probed])
        self.fps = self._clock.rate

    def _timed(self, first: list[float | None]) -> Clock:
        stream = self._file.stream
        said = [float(r) if r else None for r in (stream.average_rate, stream.guessed_rate, stream.base_rate)]
        rates = Rates(*said, self.duration)
        clock = Clock(first, rates.declared)
        if not clock.believed:
            clock = Clock(first, rate_by_count(rates, self._survey.packets))
        elif rates.doubtful(first):
            clock = Clock(first, rate_by_timestamps(rates, self._timestamps()))
        if same(clock.rate, rates.declared):
            self._rate_line = ""
        else:
            self._rate_line = f"it says {rates.declared:g} frames a second, but has {clock.rate:g}, which is taken"
        return clock

    def _timestamps(self) -> list[float]:
        """All there are, in seconds; those of the index where it lists every packet, since it costs nothing."""
        stream = self._file.stream
        entries = [entry.timestamp for entry in stream.index_entries]
        whole = len(entries) > PROBED and len(entries) == stream.frames
        return [t * float(stream.time_base) for t in (entries if whole else self._survey.stamps)]

    def _duration(self) -> float | None:
        stream, container = self._file.stream, self._file.container
        if stream.duration:
            return float(stream.duration * stream.time_base)
        with contextlib.suppress(KeyError, ValueError):  # Matroska's, of this stream: its sound may be longer
            hours, minutes, seconds = stream.metadata["DURATION"].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds) - self._start
        if not container.duration:
            return None
        seconds = container.duration / av.time_base
        return seconds - self._start if "matroska" in container.format.name else seconds  # it counts from 0

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def upright(self, coded: av.VideoFrame) -> np.ndarray:
        """-> (height, width, 3) uint8 as a player shows it; transparency over white."""
        matrix = self._orientation.matrix(coded)
        size = (self.height, self.width) if is_turned(matrix) else (self.width, self.height)
        return turned(self.colours.rgb(coded, *size), matrix)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the start that has the video's shape; the others, and what cannot be decoded, are counted.

        Raises StageError at the end when less than nine tenths of the frames could be read.
        """
        self._file.rewind()
        self._forget()
        self._clock.restart()
        count, index, corrupt, seen = 0, -1, -1, 0.0
        for index, coded in enumerate(self._deinterlacer(self._file.decode())):
            time = self._clock.time(coded.time)
            if coded.is_corrupt:
                self._corrupt, corrupt = self._corrupt + 1, index
                continue
            count += 1
            seen = time + max(float((coded.duration or 0) * (coded.time_base or 0)), 1 / self.fps)
            if self._fits(coded):
                yield Frame(index, time, self, coded)
        self.seconds = seen
        self._broken_end = self._file.broken_end or 0 <= index <= corrupt
        if count < READABLE * (count + self.unreadable):
            raise StageError(
                f"breaks off: {count} frames can be read, {self.unreadable} cannot",
                self.path,
                "Copy it again, or cut off what is broken",
            )

    @property
    def unreadable(self) -> int:
        """Frames or packets that the last `frames()` had to leave out."""
        return self._corrupt + self._file.undecodable

    def samples(self, count: int) -> Iterator[Frame]:
        """About `count` frames spread over the video: key frames where it has enough, else decoded on the way."""
        stamps = self._file.key_stamps()
        if stamps and len(stamps) >= min(count, ENOUGH_KEYFRAMES):
            picks = np.unique(np.linspace(0, len(stamps) - 1, min(count, len(stamps))).round().astype(int))
            for number, pick in enumerate(picks):
                coded = self._file.key_frame(stamps[pick])
                if coded is not None and not coded.is_corrupt and self._fits(coded):
                    yield Frame(number, (coded.time or 0.0) - self._start, self, coded)
            return
        step = max(1, self._survey.packets // count)
        # without B frames that no other needs, a third to a half of the work; the second pass says what is broken
        with self._file.skipping("NONREF"), contextlib.suppress(StageError):
            for frame in self.frames():
                if frame.index % step == 0:
                    yield frame

    @property
    def lines(self) -> list[str]:
        """What is unusual about the file and what was done about it; complete after `frames()`."""
        size = f"{self.width} x {self.height}"
        said = {
            self.colours.line: True,
            self._rate_line: True,
            self._clock.line: True,
            "it is interlaced: each frame was made whole (bwdif)": self._deinterlacer.count,
            f"its picture changes size: {self.scaled} frames were scaled to {size}": self.scaled,
            f"its picture changes shape: {self.left_out} frames that are not like {size} were left out": self.left_out,
            f"{self.unreadable} frames of it cannot be read, left out": self.unreadable,
            self._cut_line: True,
        }
        return [line for line, holds in said.items() if line and holds]

    # --- inside ----------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """What the last `frames()` counted."""
        self._file.forget()
        self._corrupt = self.left_out = self.scaled = 0
        self.seconds = 0.0
        self._broken_end = False
        self._deinterlacer = Deinterlacer()

    @cached_property
    def _survey(self) -> Survey:
        """Made when it is first needed, if it is needed at all."""
        return self._file.survey(self._orientation.shape)

    @property
    def _cut_line(self) -> str:
        missing = self.duration - self.seconds if self.duration and self.seconds else 0
        if missing > max(3 / self.fps, 0.02 * (self.duration or 0)):
            return f"it ends after {self.seconds:.1f} s of {self.duration:.1f} s: it seems to be cut off"
        return f"its end is damaged after {self.seconds:.1f} s: it seems to be cut off" if self._broken_end else ""

    def _fits(self, coded: av.VideoFrame) -> bool:
        shape = self._orientation.shape(coded)
        if shape == self._shape:
            return True
        like = shape.is_like(self._shape)
        self.scaled += like
        self.left_out += not like
        return like
