"""Reading a video: upright RGB frames one at a time, whatever the file's rotation, pixels, timestamps and faults.

Memory does not depend on the video's length: a frame is converted to RGB only when it is asked for.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.reformatter import Colorspace

from avatarmake.errors import StageError

READABLE = 0.9  # of a video: with less, it is refused rather than half used
ENOUGH_KEYFRAMES = 12  # to see where a head goes without decoding all that lies between
HD = 720  # rows from which untagged video is BT.709, as players take it


@dataclass
class Frame:
    """One decoded frame; `index` counts them in the order they are shown, `time` is in seconds from the first."""

    index: int
    time: float
    video: "Video"
    coded: av.VideoFrame

    def rgb(self) -> np.ndarray:
        return self.video.upright(self.coded)


class Video:
    """An open video file. Raises StageError when it cannot be opened or nothing in it can be decoded.

    width, height: of the upright image, square pixels. fps: the average. duration: seconds, or None.
    rotation: degrees clockwise that the file asks a player to turn it.
    """

    def __init__(self, path: Path):
        self.path = path
        self.unreadable = 0  # frames or packets that the last `frames()` had to leave out
        try:
            self._container = av.open(str(path))
        except (OSError, ValueError) as e:  # PyAV's errors are both; an errno, or what is wrong with the data
            raise StageError(f"cannot be read as a video: {_reason(e)}", path, "Give another file") from e
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> None:
        if not self._container.streams.video:
            raise StageError("has no video stream", self.path, "Give another file")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._size = (0, 0)
        first = next(self._decode(), None)
        if first is None:
            raise StageError("not one frame of it can be decoded", self.path, "Give another file")
        self._matrix = _display_matrix(first)
        pixel = self._stream.sample_aspect_ratio or 1  # width of a pixel over its height
        self._size = (max(round(first.width * pixel), 1), first.height)
        turned = abs(self._matrix[0, 1]) > abs(self._matrix[0, 0])
        self.width, self.height = self._size[::-1] if turned else self._size
        self.rotation = -first.rotation % 360
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        self._start = first.time or 0.0
        self.duration = self._duration()

    def _duration(self) -> float | None:
        if self._stream.duration:
            seconds = float(self._stream.duration * self._stream.time_base)
        elif self._container.duration:
            seconds = self._container.duration / av.time_base
        else:
            return None
        return seconds - self._start if "matroska" in self._container.format.name else seconds  # it counts from 0

    def close(self) -> None:
        self._container.close()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def upright(self, coded: av.VideoFrame) -> np.ndarray:
        """-> (height, width, 3) uint8 as a player shows it; transparency over white."""
        untagged = coded.colorspace in (0, 2) and coded.height >= HD
        options = {"width": self._size[0], "height": self._size[1]}
        if untagged and coded.format.name.startswith("yuv"):
            options["src_colorspace"] = Colorspace.ITU709
        if any(component.is_alpha for component in coded.format.components):
            rgba = coded.to_ndarray(format="rgba", **options)
            alpha = rgba[..., 3:].astype(np.uint16)
            image = ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        else:
            image = coded.to_ndarray(format="rgb24", **options)
        return _turned(image, self._matrix)

    def frames(self) -> Iterator[Frame]:
        """Every frame from the start. Frames that cannot be decoded are left out and counted in `unreadable`.

        Raises StageError at the end when less than nine tenths of the video could be read.
        """
        self._rewind()
        self.unreadable, count, last = 0, 0, 0.0
        for index, coded in enumerate(self._decode()):
            if coded.is_corrupt:
                self.unreadable += 1
                continue
            last = index / self.fps if coded.time is None else coded.time - self._start
            count += 1
            yield Frame(index, last, self, coded)
        seen = last + 1 / self.fps
        if count < READABLE * (count + self.unreadable) or seen < READABLE * (self.duration or 0):
            of = f" of {self.duration:.1f}" if self.duration else ""
            raise StageError(
                f"breaks off: {count} frames can be read, {seen:.1f}{of} s, {self.unreadable} cannot",
                self.path,
                "Copy it again, or cut off what is broken",
            )

    def samples(self, count: int) -> Iterator[Frame]:
        """About `count` frames spread over the video: key frames where it has enough, else decoded on the way."""
        if self._sample_times and len(self._sample_times) >= min(count, ENOUGH_KEYFRAMES):
            yield from self._key_frames(count)
            return
        step = max(1, self._packets() // count)
        with self._skipping("NONREF"):  # B frames that no other needs: a third to a half of the work
            for frame in self._quietly():
                if frame.index % step == 0:
                    yield frame

    # --- inside ----------------------------------------------------------------------------------------------------

    @property
    def _sample_times(self) -> list[int]:
        return [e.timestamp for e in self._stream.index_entries if e.is_keyframe]

    def _key_frames(self, count: int) -> Iterator[Frame]:
        times = self._sample_times
        picks = np.unique(np.linspace(0, len(times) - 1, min(count, len(times))).round().astype(int))
        for number, pick in enumerate(picks):
            with contextlib.suppress(av.error.FFmpegError):
                self._container.seek(times[pick], stream=self._stream)
                coded = next(self._decode(), None)
                if coded is not None and not coded.is_corrupt:
                    yield Frame(number, (coded.time or 0.0) - self._start, self, coded)

    def _packets(self) -> int:
        self._rewind()
        count = 0
        with contextlib.suppress(av.error.FFmpegError):
            count = sum(packet.size > 0 for packet in self._container.demux(self._stream))
        return count

    @contextlib.contextmanager
    def _skipping(self, what: str) -> Iterator[None]:
        context = self._stream.codec_context
        before, context.skip_frame = context.skip_frame, what
        try:
            yield
        finally:
            context.skip_frame = before

    def _quietly(self) -> Iterator[Frame]:
        with contextlib.suppress(StageError):  # the second pass says what is broken
            yield from self.frames()

    def _rewind(self) -> None:
        with contextlib.suppress(av.error.FFmpegError):
            self._container.seek(0)
            return
        self._container.close()  # no index to seek by
        self._container = av.open(str(self.path))
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    def _decode(self) -> Iterator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # cut off within a packet
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self.unreadable += 1


def _display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(2,2): where the coded image's x and y axes (y down) point in the upright one; rows are x, y."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            m = np.frombuffer(bytes(data), np.int32).reshape(3, 3) / 65536
            return m[:2, :2]
    return np.eye(2)


def _turned(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The image as a display matrix (quarter turns and mirrorings) shows it; a view."""
    (a, b), (c, d) = matrix
    if abs(b) > abs(a):
        image = image.swapaxes(0, 1)
        a, d = c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _reason(e: Exception) -> str:
    return getattr(e, "strerror", None) or str(e)
