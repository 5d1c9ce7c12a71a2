"""Which of a file's streams is the video, and what decodes it."""

from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from avatarmake.errors import StageError

STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave WebM's transparency out


def main_stream(container: InputContainer, path: Path) -> VideoStream:
    """What a player shows: the stream marked as default, the largest of several; no cover and no preview."""
    streams = [s for s in container.streams.video if not s.disposition & STILL]
    if not streams:
        what = "has a cover picture, but no video stream" if container.streams.video else "has no video stream"
        raise StageError(what, path, "Give another file")
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
