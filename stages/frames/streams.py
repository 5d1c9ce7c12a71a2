"""A file's packets and decoded frames, of the one stream that is the video."""

import contextlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from avatarmake.errors import StageError
from stages.frames.shapes import Shape

STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave WebM's transparency out


class Stream:
    """The main stream of an open file. Raises StageError when the file cannot be opened or has none.

    What `decode` met: `undecodable` counts packets; `broken_end` is whether the last of them, or the file, broke off.
    """

    def __init__(self, path: Path):
        self.path = path
        self.forget()
        self._open()

    def _open(self) -> None:
        try:
            self.container = av.open(str(self.path))
        except (OSError, ValueError, av.error.FFmpegError) as e:  # an errno, or what is wrong with the data
            why = getattr(e, "strerror", None) or str(e)
            raise StageError(f"cannot be read as a video: {why}", self.path, "Give another file") from e
        try:
            self.stream = main_stream(self.container, self.path)
            self._decoder = decoder_of(self.stream)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.container.close()

    def forget(self) -> None:
        self.undecodable = 0
        self.broken_end = False

    def decode(self) -> Iterator[av.VideoFrame]:
        """Frames from where the file stands, in the order they are shown; what cannot be decoded is left out."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # cut off within a packet
                self.broken_end = True
                return
            if packet is None:
                return
            try:
                decoded = self._decoder.decode(packet)
                self.broken_end &= not packet.size  # the last frames come out of it without a packet
            except av.error.FFmpegError:
                self.undecodable += 1
                self.broken_end = True
                continue
            yield from decoded

    def rewind(self) -> None:
        with contextlib.suppress(av.error.FFmpegError):
            self.container.seek(0)
            self._decoder.flush_buffers()
            return
        skipped = self._decoder.skip_frame
        self.close()  # no index to seek by
        self._open()
        self._decoder.skip_frame = skipped

    def key_stamps(self) -> list[int]:
        """Where the index, if there is one, has key frames, for `key_frame`."""
        return [e.timestamp for e in self.stream.index_entries if e.is_keyframe]

    def key_frame(self, stamp: int) -> av.VideoFrame | None:
        with contextlib.suppress(av.error.FFmpegError):
            self.container.seek(stamp, stream=self.stream)
            self._decoder.flush_buffers()
            return next(self.decode(), None)
        return None

    @contextlib.contextmanager
    def skipping(self, what: str) -> Iterator[None]:
        before, self._decoder.skip_frame = self._decoder.skip_frame, what
        try:
            yield
        finally:
            self._decoder.skip_frame = before

    def survey(self, shape: Callable[[av.VideoFrame], Shape]) -> "Survey":
        """A pass over all packets that decodes no more than key frames."""
        seen = Survey()
        self.rewind()
        with self.skipping("NONKEY"), contextlib.suppress(av.error.FFmpegError):
            for packet in self.container.demux(self.stream):
                if packet.size:
                    seen.add(packet)
                with contextlib.suppress(av.error.FFmpegError):
                    seen.shapes += [shape(frame) for frame in self._decoder.decode(packet)]
        return seen


class Survey:
    """What a pass over the packets shows: how many, their timestamps in the stream's units, shapes of key frames."""

    def __init__(self):
        self.packets = 0
        self.stamps = array("q")
        self.keys = array("q")  # which packets
        self.shapes: list[Shape] = []

    def add(self, packet: av.Packet) -> None:
        if packet.is_keyframe:
            self.keys.append(self.packets)
        if packet.pts is not None:
            self.stamps.append(packet.pts)
        self.packets += 1

    def counts(self) -> Counter[Shape]:
        """How many frames have which shape: that of the key frame before them."""
        lengths = np.diff([*self.keys, self.packets]).tolist()
        if len(lengths) != len(self.shapes):  # a key frame that is none to the decoder
            lengths = [1] * len(self.shapes)
        counts: Counter[Shape] = Counter()
        for shape, length in zip(self.shapes, lengths, strict=True):
            counts[shape] += length
        return counts


def main_stream(container: InputContainer, path: Path) -> VideoStream:
    """What a player shows: the stream marked as default, the largest of several; no cover and no preview."""
    streams = [s for s in container.streams.video if not s.disposition & STILL]
    if not streams:
        what = "has a cover picture, but no video stream" if container.streams.video else "has no video stream"
        raise StageError(what, path, "Give another file")
    streams = [s for s in streams if s.codec_context is not None]
    if not streams:
        raise StageError("is coded in a way that no decoder of FFmpeg's knows", path, "Give another file")
    default = [s for s in streams if s.disposition & Disposition.default]
    return max(default or streams, key=lambda s: s.codec_context.width * s.codec_context.height)


def decoder_of(stream: VideoStream) -> av.VideoCodecContext:
    """The stream's own decoder, or one that sees the transparency that the stream says it has."""
    stream.thread_type = "AUTO"
    own = stream.codec_context
    name = WITH_ALPHA.get(own.name, "") if stream.metadata.get("alpha_mode") == "1" else ""
    if not name or name not in av.codecs_available:
        return own
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = own.extradata
    decoder.thread_type = "AUTO"
    return decoder
