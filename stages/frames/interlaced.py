"""Video of two fields a frame, as cameras and television had it: combs at every moving edge, unless it is mended."""

from collections.abc import Iterable, Iterator

import av
import av.error
from av.filter import Graph


class Deinterlacer:
    """Passes frames through; from the first that is flagged as interlaced on, through libavfilter's bwdif.

    As many frames come out as go in, one later; those without the flag are left as they are. `count`: flagged ones.
    """

    def __init__(self):
        self.count = 0

    def __call__(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        graph, like = None, None
        for frame in frames:
            self.count += frame.interlaced_frame
            shape = frame.width, frame.height, frame.format.name
            if graph is not None and shape != like:
                yield from _out(graph, None)
                graph = None
            if graph is None and frame.interlaced_frame:
                graph, like = _graph(frame), shape
            yield from [frame] if graph is None else _out(graph, frame)
        if graph is not None:
            yield from _out(graph, None)


def _graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    base = frame.time_base or "1/25"
    size = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={base}"
    bwdif = graph.add("bwdif", mode="send_frame", deint="interlaced")
    graph.link_nodes(graph.add("buffer", size), bwdif, graph.add("buffersink")).configure()
    return graph


def _out(graph: Graph, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
    """Put one in (None: no more will come), take out what is ready."""
    graph.vpush(frame)
    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError, av.error.EOFError):
            return
