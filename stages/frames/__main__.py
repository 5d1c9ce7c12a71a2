"""Two passes over a video: a sparse one finds the head, the second cuts its square out of every frame."""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from avatarmake.contract.command import main
from avatarmake.contract.layout import IMAGE_SIZE, frame_image, person_image
from avatarmake.contract.stage import Job
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats.images import crop, resize, write_jpeg
from avatarmake.limits import cores
from avatarmake.stretches import words
from stages.frames import STAGE, FramesConfig
from stages.frames.images import images
from stages.frames.people import Choice, Person, choose, find_people
from stages.frames.sequence import Sequence
from stages.frames.stills import Stills, small_grey
from stages.frames.turn import LOOKS, best_turn, turned
from stages.frames.video import Frame, Video

UPRIGHT = 0.5  # of the samples: with an upright face in fewer, the video may lie on its side
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
                writer.write(path, None if path.exists() else turned(frame.rgb(), crop_json["turn"]))
        _say_notes(crop_json, video)
        crop_json["source"]["frames"] = total
        crop_json["fps"] = min(config.fps or video.fps, video.fps)
        still = {"repeats": writer.stills.repeats, "black": writer.stills.black}
        _write(description, {**crop_json, "source_frames": indices, "times": times, **still})
    _say_stills(still)
    return {
        "frames_in": total,
        "frames_out": len(indices),
        "unreadable": video.unreadable,
        "box": crop_json["box"],
        "people": crop_json["people"],
        "turn": crop_json["turn"],
        **{name: len(numbers) for name, numbers in still.items()},
        "source": crop_json["source"],
    }


def _opened(config: FramesConfig) -> Video | Sequence:
    path = Path(config.video)
    found = images(path)
    return Sequence(path, found, config.fps) if found else Video(path)


def _find_head(job: Job, video: Video) -> dict:
    """Pass 1 -> crop.json without its frames. Raises StageError when no face is seen."""
    config = job.config
    turn = 0 if config.turn == "auto" else int(config.turn)
    people, times = _look(job, video, turn)
    if config.turn == "auto" and not _mostly_upright(people, len(times)):
        turn, seen, looked = best_turn(frame.rgb() for frame in video.samples(LOOKS))
        if turn:
            _say(
                f"the face lies on its side: upright in {seen[0]} of {looked} frames as the video is, in {seen[turn]} "
                f"turned {turn} degrees clockwise, and so it is turned. TURN=0 leaves it as it is"
            )
            people, times = _look(job, video, turn)
    width, height = (video.width, video.height)[:: -1 if turn % 180 else 1]
    if not people:
        raise StageError(
            f"no face in {len(times)} frames looked at ({width} x {height})",
            video.path,
            "Give a video of one person who faces the camera",
        )
    choice = choose(people, len(times), config.person, config.margin, width, height)
    if choice.box[2] < SMALL:
        _say(f"the head takes only {choice.box[2]} pixels of the video, the avatar will be soft")
    return {
        "source": {
            "name": video.path.name,
            "width": width,
            "height": height,
            "fps": video.fps,
            "frames": None,
            "rotation": video.rotation,
            "duration": video.duration,
        },
        "turn": turn,
        "box": choice.box,
        "image_size": [IMAGE_SIZE, IMAGE_SIZE],
        "people": [len(p.rectangles) / len(times) for p in people],
        **_several(job, choice, times),
    }


def _look(job: Job, video: Video, turn: int) -> tuple[list[Person], list[float]]:
    """The people in a sparse sample of the video, turned; the samples' times."""
    samples, times = job.config.samples, []

    def pictures() -> Iterator[np.ndarray]:
        for frame in job.progress(video.samples(samples), samples, "frames: looking for the face"):
            times.append(frame.time)
            yield turned(frame.rgb(), turn)

    return find_people(pictures())[0], times


def _mostly_upright(people: list[Person], samples: int) -> bool:
    return len({s for p in people for s in p.upright}) >= max(UPRIGHT * samples, 1)


def _several(job: Job, choice: Choice, times: list[float]) -> dict:
    """Where there is more than one face: say so, leave their pictures, and where the one taken is when."""
    line = choice.line(job.subject.name)
    if line is None:
        return {}
    _say(line)
    person_image(job.out, 1).parent.mkdir(exist_ok=True)
    for number, person in enumerate(choice.faces, 1):
        write_jpeg(person_image(job.out, number), person.portrait)
    path = [(round(times[s], 6), round(x, 1), round(y, 1)) for s, x, y in choice.path()]
    return {"faces": choice.records(), "path": path}


def _say_stills(still: dict[str, list[int]]) -> None:
    repeats, black = ([n + 1 for n in still[name]] for name in ("repeats", "black"))
    if repeats:
        what = f"{len(repeats)} images repeat the one before ({words(repeats)})"
        _say(f"{what}: a still stretch counts once in training")
    if black:
        _say(f"{len(black)} images are black ({words(black)})")


def _say(line: str) -> None:
    print(f"frames: {line}", file=sys.stderr, flush=True)


def _say_notes(crop_json: dict, video: Video) -> None:
    """What is unusual about the video and what was done about it: a line each, here and in crop.json."""
    crop_json["source"]["notes"] = video.lines
    for line in video.lines:
        _say(f"{video.path.name}: {line}")


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
    """Cuts and encodes beside the decoder, in as many threads as there are cores; holds a few frames at most.

    `stills`: what is known of the images written so far, of all at its end.
    """

    def __init__(self, box: tuple[int, int, int]):
        self._box = box
        self._threads = cores()
        self._pool = ThreadPoolExecutor(self._threads)
        self._waiting: deque[Future[np.ndarray]] = deque()
        self.stills = Stills()

    def write(self, path: Path, image: np.ndarray | None) -> None:
        """Take an upright frame (H,W,3), None for one that is written; raises what an earlier one failed with."""
        x, y, side = self._box
        cut = None if image is None else crop(image, x, y, side, side)
        self._waiting.append(self._pool.submit(self._cut, path, cut))
        while len(self._waiting) > 2 * self._threads:
            self.stills.see(self._waiting.popleft().result())

    @staticmethod
    def _cut(path: Path, image: np.ndarray | None) -> np.ndarray:
        if image is not None:
            write_jpeg(path, resize(image, (IMAGE_SIZE, IMAGE_SIZE)))
        return small_grey(path)

    def __enter__(self) -> "ImageWriter":
        return self

    def __exit__(self, kind, *_) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for future in self._waiting:
                self.stills.see(future.result())


def _write(path: Path, content: dict) -> None:
    with whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main(STAGE, run)
