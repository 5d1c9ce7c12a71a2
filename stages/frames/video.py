"""Reading a video: upright RGB frames one at a time, whatever the file's rotation, pixels, timestamps and faults.

Memory does not depend on the video's length: a frame is converted to RGB only when it is asked for. What a file says of
itself is checked where files are known to be wrong, and what was done about it is in `lines`.
"""

import contextlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np

from avatarmake.errors import StageError
from stages.frames.colour import Colours
from stages.frames.interlaced import Deinterlacer
from stages.frames.shapes import Shape, display_matrix, is_turned, most_used, turned
from stages.frames.streams import decoder_of, main_stream
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
        self._forget()
        self._open()
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self._container = av.open(str(self.path))
        except (OSError, ValueError) as e:  # PyAV's errors are both; an errno, or what is wrong with the data
            raise StageError(f"cannot be read as a video: {_reason(e)}", self.path, "Give another file") from e
        self._stream = main_stream(self._container, self.path)
        self._decoder = decoder_of(self._stream)

    def _describe(self) -> None:
        probed = list(islice(self._decode(), PROBED))
        if not probed:
            raise StageError("not one frame of it can be decoded", self.path, "Give another file")
        self._pixel = self._stream.sample_aspect_ratio or 1
        self.colours = Colours(probed[0], self.path)
        self._start = probed[0].time or 0.0
        self.duration = self._duration()
        self._survey = _Survey()
        one = any(name in self._container.format.name for name in ONE_SHAPE)
        self._shape = most_used({} if one else self._surveyed().shapes) or Shape.of(probed[0], self._pixel)
        self.width, self.height = self._shape.width, self._shape.height
        self.rotation = -probed[0].rotation % 360
        self._clock = self._timed([frame.time for frame in probed])
        self.fps = self._clock.rate

    def _timed(self, first: list[float | None]) -> Clock:
        stream = self._stream
        said = [float(r) if r else None for r in (stream.average_rate, stream.guessed_rate, stream.base_rate)]
        rates = Rates(*said, self.duration)
        clock = Clock(first, rates.declared)
        if not clock.believed:
            clock = Clock(first, rate_by_count(rates, self._surveyed().packets))
        elif rates.doubtful(first):
            clock = Clock(first, rate_by_timestamps(rates, self._timestamps()))
        if same(clock.rate, rates.declared):
            self._rate_line = ""
        else:
            self._rate_line = f"it says {rates.declared:g} frames a second, but has {clock.rate:g}, which is taken"
        return clock

    def _timestamps(self) -> list[float]:
        """All there are, in seconds; those of the index where it lists every packet, since it costs nothing."""
        entries = [entry.timestamp for entry in self._stream.index_entries]
        whole = len(entries) > PROBED and len(entries) == self._stream.frames
        return [t * float(self._stream.time_base) for t in (entries if whole else self._surveyed().stamps)]

    def _duration(self) -> float | None:
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        own = self._stream.metadata.get("DURATION", "")  # Matroska's, of this stream: its sound may be longer
        with contextlib.suppress(ValueError):
            hours, minutes, seconds = own.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds) - self._start
        if not self._container.duration:
            return None
        seconds = self._container.duration / av.time_base
        return seconds - self._start if "matroska" in self._container.format.name else seconds  # it counts from 0

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def upright(self, coded: av.VideoFrame) -> np.ndarray:
        """-> (height, width, 3) uint8 as a player shows it; transparency over white."""
        matrix = display_matrix(coded)
        size = (self.height, self.width) if is_turned(matrix) else (self.width, self.height)
        return turned(self.colours.rgb(coded, *size), matrix)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the start that has the video's shape; the others, and what cannot be decoded, are counted.

        Raises StageError at the end when less than nine tenths of the frames could be read.
        """
        self._rewind()
        self._forget()
        self._clock.restart()
        count, index, last, corrupt = 0, -1, 0.0, -1
        for index, coded in enumerate(self._deinterlacer(self._decode())):
            time = self._clock.time(coded.time)
            if coded.is_corrupt:
                self.unreadable, corrupt = self.unreadable + 1, index
                continue
            last, count = time, count + 1
            if self._fits(coded):
                yield Frame(index, time, self, coded)
        self._broken_end |= 0 <= index <= corrupt
        self.seconds = last + 1 / self.fps
        if count < READABLE * (count + self.unreadable):
            raise StageError(
                f"breaks off: {count} frames can be read, {self.unreadable} cannot",
                self.path,
                "Copy it again, or cut off what is broken",
            )

    def samples(self, count: int) -> Iterator[Frame]:
        """About `count` frames spread over the video: key frames where it has enough, else decoded on the way."""
        if self._sample_times and len(self._sample_times) >= min(count, ENOUGH_KEYFRAMES):
            yield from self._key_frames(count)
            return
        step = max(1, self._surveyed().packets // count)
        with self._skipping("NONREF"):  # B frames that no other needs: a third to a half of the work
            for frame in self._quietly():
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
        self.unreadable = self.left_out = self.scaled = 0
        self.seconds = 0.0
        self._broken_end = False
        self._deinterlacer = Deinterlacer()

    @property
    def _cut_line(self) -> str:
        missing = self.duration - self.seconds if self.duration and self.seconds else 0
        if missing > max(3 / self.fps, 0.02 * (self.duration or 0)):
            return f"it ends after {self.seconds:.1f} s of {self.duration:.1f} s: it seems to be cut off"
        return f"its end is damaged after {self.seconds:.1f} s: it seems to be cut off" if self._broken_end else ""

    def _fits(self, coded: av.VideoFrame) -> bool:
        shape = Shape.of(coded, self._pixel)
        if shape != self._shape:
            if not shape.is_like(self._shape):
                self.left_out += 1
                return False
            self.scaled += 1
        return True

    @property
    def _sample_times(self) -> list[int]:
        return [e.timestamp for e in self._stream.index_entries if e.is_keyframe]

    def _key_frames(self, count: int) -> Iterator[Frame]:
        times = self._sample_times
        picks = np.unique(np.linspace(0, len(times) - 1, min(count, len(times))).round().astype(int))
        for number, pick in enumerate(picks):
            with contextlib.suppress(av.error.FFmpegError):
                self._container.seek(times[pick], stream=self._stream)
                self._decoder.flush_buffers()
                coded = next(self._decode(), None)
                if coded is not None and not coded.is_corrupt and self._fits(coded):
                    yield Frame(number, coded.time or 0.0, self, coded)

    def _surveyed(self) -> "_Survey":
        """A pass over all packets that decodes no more than key frames; made once, if it is needed at all."""
        survey = self._survey
        if not survey.packets:
            self._rewind()
            with self._skipping("NONKEY"), contextlib.suppress(av.error.FFmpegError):
                for packet in self._container.demux(self._stream):
                    survey.packets += packet.size > 0
                    if packet.pts is not None and packet.size:
                        survey.stamps.append(packet.pts)
                    with contextlib.suppress(av.error.FFmpegError):
                        survey.shapes.update(Shape.of(frame, self._pixel) for frame in self._decoder.decode(packet))
        return survey

    @contextlib.contextmanager
    def _skipping(self, what: str) -> Iterator[None]:
        before, self._decoder.skip_frame = self._decoder.skip_frame, what
        try:
            yield
        finally:
            self._decoder.skip_frame = before

    def _quietly(self) -> Iterator[Frame]:
        with contextlib.suppress(StageError):  # the second pass says what is broken
            yield from self.frames()

    def _rewind(self) -> None:
        with contextlib.suppress(av.error.FFmpegError):
            self._container.seek(0)
            self._decoder.flush_buffers()
            return
        skipped = self._decoder.skip_frame
        self._container.close()  # no index to seek by
        self._open()
        self._decoder.skip_frame = skipped

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # cut off within a packet
                self._broken_end = True
                return
            if packet is None:
                return
            try:
                decoded = self._decoder.decode(packet)
                self._broken_end &= not packet.size  # the last ones come out of it without a packet
            except av.error.FFmpegError:
                self.unreadable += 1
                self._broken_end = True
                continue
            yield from decoded


class _Survey:
    """What a pass over the packets shows: how many, their timestamps in the stream's units, shapes of key frames."""

    def __init__(self):
        self.packets = 0
        self.stamps = array("q")
        self.shapes: Counter[Shape] = Counter()


def _reason(e: Exception) -> str:
    return getattr(e, "strerror", None) or str(e)
