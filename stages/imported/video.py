"""The video beside a tracking: the frames of it that the tracker took."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")


def beside(folder: Path) -> Path | None:
    """The only video in the folder; else one beside the folder that has its name, as the tracker names its results."""
    inside = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES]
    if len(inside) > 1:
        raise StageError(f"holds {len(inside)} videos", folder, "Leave the one that was tracked")
    named = (folder.parent / f"{folder.name}{suffix}" for suffix in SUFFIXES)
    return inside[0] if inside else next((p for p in named if p.is_file()), None)


def interval(film: Path, fps: float | None, last: int) -> float:
    """How many frames of the video one step of the tracker is: upstream takes frame int(i interval).

    Raises StageError where the video is too short for the tracker's last number.
    """
    import av

    try:
        with av.open(str(film)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 0)
            count = sum(1 for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError, OSError) as e:
        raise StageError(f"cannot be read: {e}", film) from e
    step = rate / fps if fps and rate else 1.0
    if int(last * step) >= count:
        what = f"has {count} frames, and the tracking goes to number {last}"
        raise StageError(what, film, "It is another video, or say how many a second were tracked: FPS=25")
    return step


def frames(film: Path, wanted: list[int]) -> Iterator[np.ndarray]:
    """(H,W,3) uint8 of these frames, counted from 0, ascending."""
    import av

    places = iter(wanted)
    place = next(places, None)
    try:
        with av.open(str(film)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                while place == i:
                    yield frame.to_ndarray(format="rgb24")
                    place = next(places, None)
                if place is None:
                    return
    except av.FFmpegError as e:
        raise StageError(f"cannot be decoded: {e}", film) from e
    if place is not None:
        raise StageError(f"ends before frame {place}", film)
