"""Two passes over a video: a sparse one finds the head, the second cuts its square out of every frame."""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from avatarmake.contract.command import main
from avatarmake.contract.layout import IMAGE_SIZE, frame_image
from avatarmake.contract.stage import Job
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats.images import crop, resize, write_jpeg
from avatarmake.limits import cores
from stages.frames import STAGE, FramesConfig
from stages.frames.face import find_people, square_around
from stages.frames.images import images
from stages.frames.sequence import Sequence
from stages.frames.video import Frame, Video

SMALL = 256  # a box of fewer pixels makes a soft avatar: worth a line
ROUNDING = 2e-3  # seconds: containers round timestamps to milliseconds
EPSILON = 1e-9  # seconds


def run(job: Job) -> dict:
    config = job.config
    with _opened(config) as video:
        description = job.out / "crop.json"
        if job.resumed and description.exists():
            crop_json = json.loads(description.read_text())
        else:
            crop_json = _find_head(job, video)
            _write(description, crop_json)
        indices, times, total = [], [], 0

        def counted() -> Iterator[Frame]:
            nonlocal total
            expected = round(video.duration * video.fps) if video.duration else None
            for frame in job.progress(video.frames(), expected, "frames"):
                total += 1
                yield frame

        with ImageWriter(crop_json["box"]) as writer:
            for frame in at_rate(counted(), config.fps, video.fps):
                indices.append(frame.index)
                times.append(round(frame.time, 6))
                path = frame_image(job.out, len(indices))
                if not path.exists():
                    writer.write(path, frame.rgb())
        _say(crop_json, video)
        crop_json["source"]["frames"] = total
        crop_json["fps"] = min(config.fps or video.fps, video.fps)
        _write(description, {**crop_json, "source_frames": indices, "times": times})
    return {
        "frames_in": total,
        "frames_out": len(indices),
        "unreadable": video.unreadable,
        "box": crop_json["box"],
        "people": crop_json["people"],
        "source": crop_json["source"],
    }


def _opened(config: FramesConfig) -> Video | Sequence:
    path = Path(config.video)
    found = images(path)
    return Sequence(path, found, config.fps) if found else Video(path)


def _find_head(job: Job, video: Video) -> dict:
    """Pass 1 -> crop.json without its frames. Raises StageError when no face is seen."""
    config = job.config
    sampled = job.progress(video.samples(config.samples), config.samples, "frames: looking for the face")
    people, samples = find_people(frame.rgb() for frame in sampled)
    if not people:
        raise StageError(
            f"no face in {samples} frames looked at ({video.width} x {video.height})",
            video.path,
            "Give a video of one person who faces the camera",
        )
    box = square_around(np.array(people[0].rectangles), config.margin, video.width, video.height)
    if box[2] < SMALL:
        print(f"frames: the head takes only {box[2]} pixels of the video, the avatar will be soft", file=sys.stderr)
    return {
        "source": {
            "name": video.path.name,
            "width": video.width,
            "height": video.height,
            "fps": video.fps,
            "frames": None,
            "rotation": video.rotation,
            "duration": video.duration,
        },
        "box": box,
        "image_size": [IMAGE_SIZE, IMAGE_SIZE],
        "people": [len(p.rectangles) / samples for p in people],
    }


def _say(crop_json: dict, video: Video) -> None:
    """What is unusual about the video and what was done about it: a line each, here and in crop.json."""
    crop_json["source"]["notes"] = video.lines
    for line in video.lines:
        print(f"frames: {video.path.name}: {line}", file=sys.stderr)


def at_rate(frames: Iterable[Frame], fps: float | None, source_fps: float) -> Iterator[Frame]:
    """The frames on screen at k / fps seconds: source frame int(k * interval) where the rate is constant.

    No frame comes twice, so a rate above the video's own gives every frame.
    """
    if fps is None:
        yield from frames
        return
    k, shown = 0, None
    for frame in frames:
        time = _regular(frame, source_fps)
        if shown is not None and k / fps < time - EPSILON:
            yield shown
            k = int(np.ceil((time - EPSILON) * fps))
        shown = frame
    if shown is not None and k / fps < _regular(shown, source_fps) + 1 / source_fps - EPSILON:
        yield shown


def _regular(frame: Frame, source_fps: float) -> float:
    """A frame's time, without the container's rounding where the rate is constant."""
    time = frame.index / source_fps
    return time if abs(time - frame.time) < ROUNDING else frame.time


class ImageWriter:
    """Cuts and encodes beside the decoder, in as many threads as there are cores; holds a few frames at most."""

    def __init__(self, box: tuple[int, int, int]):
        self._box = box
        self._threads = cores()
        self._pool = ThreadPoolExecutor(self._threads)
        self._waiting: deque[Future] = deque()

    def write(self, path: Path, image: np.ndarray) -> None:
        """Take an upright frame (H,W,3); raises what an earlier one failed with."""
        x, y, side = self._box
        self._waiting.append(self._pool.submit(self._cut, path, crop(image, x, y, side, side)))
        while len(self._waiting) > 2 * self._threads:
            self._waiting.popleft().result()

    @staticmethod
    def _cut(path: Path, image: np.ndarray) -> None:
        write_jpeg(path, resize(image, (IMAGE_SIZE, IMAGE_SIZE)))

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(self, kind, *_) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for future in self._waiting:
                future.result()


def _write(path: Path, content: dict) -> None:
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main(STAGE, run)
