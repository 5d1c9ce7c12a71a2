"""The driver's sound, taken over as it is where it is AAC, and else made AAC. A packet at a time."""

from collections.abc import Iterator
from pathlib import Path

import av

from avatarmake.errors import StageError

RATE = 48000  # of what is encoded


class Sound:
    """The first sound track of a video, its times counted from the video's first frame.

    Raises StageError where the file cannot be opened; `there` is False where it has none.
    """

    def __init__(self, path: Path | None, end: float):
        self.path, self.end, self.there = path, end, False
        if path is None:
            return
        try:
            with av.open(str(path)) as container:
                self.there = bool(container.streams.audio)
                self.copied = self.there and container.streams.audio[0].codec_context.name == "aac"
                self._start = _start(container)
        except (av.FFmpegError, OSError) as e:
            raise StageError(f"its sound cannot be read: {e}", path) from e

    def into(self, container: av.container.OutputContainer) -> "Track":
        """Add it to a film that is being written."""
        return Track(self, container)


class Track:
    """The sound of one film: written up to where the pictures are, so that neither waits for the other in memory."""

    def __init__(self, sound: Sound, container: av.container.OutputContainer):
        self._container, self._sound = container, sound
        self._input = av.open(str(sound.path))
        source = self._input.streams.audio[0]
        if sound.copied:
            self._stream = container.add_stream_from_template(source)
            self._packets = self._copied(source)
        else:
            self._stream = container.add_stream("aac", rate=RATE)
            self._stream.layout = "stereo" if source.codec_context.layout.nb_channels > 1 else "mono"
            self._stream.codec_context.flags |= 1 << 23  # bitexact
            self._packets = self._encoded(source)
        self._next = None

    def write(self, until: float | None) -> None:
        """Everything that begins before `until` seconds; None: the rest."""
        while (item := self._next or next(self._packets, None)) is not None:
            self._next = item
            if until is not None and item[0] > until:
                return
            self._container.mux(item[1])
            self._next = None

    def close(self) -> None:
        self._input.close()

    def _copied(self, source) -> Iterator[tuple[float, av.Packet]]:
        base = source.time_base
        start = round(self._sound._start / base)
        for packet in self._input.demux(source):
            if packet.dts is None or packet.pts - start < 0 and packet.pts + (packet.duration or 0) - start <= 0:
                continue
            time = float((packet.pts - start) * base)
            if time >= self._sound.end:
                return
            packet.pts, packet.dts = packet.pts - start, packet.dts - start
            packet.stream = self._stream
            yield time, packet

    def _encoded(self, source) -> Iterator[tuple[float, av.Packet]]:
        layout = self._stream.layout
        resampler = av.AudioResampler("fltp", layout, RATE, frame_size=self._stream.codec_context.frame_size or 1024)
        done = 0  # samples
        for frame in self._input.decode(source):
            time = float(frame.pts * source.time_base) - self._sound._start
            if time >= self._sound.end:
                break
            if time + frame.samples / frame.sample_rate <= 0:
                continue
            for part in resampler.resample(frame):
                part.pts = done + self._offset(time) if done == 0 else self._at
                self._at = part.pts + part.samples
                done += part.samples
                yield from self._timed(self._stream.encode(part))
        for part in resampler.resample(None):
            yield from self._timed(self._stream.encode(part))
        yield from self._timed(self._stream.encode(None))

    def _offset(self, time: float) -> int:
        return max(round(time * RATE), 0)

    def _timed(self, packets: list[av.Packet]) -> Iterator[tuple[float, av.Packet]]:
        for packet in packets:
            yield float((packet.pts or 0) * packet.time_base), packet


def _start(container: av.container.InputContainer) -> float:
    """Seconds at which the first picture is shown, by the file's own clock."""
    video = container.streams.video[0] if container.streams.video else None
    return float((video.start_time or 0) * video.time_base) if video else 0.0
