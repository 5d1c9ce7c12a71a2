"""Driving where the truth is known: two demo subjects act to one script, and one drives the other's avatar.

    python -m bench.drive [--data data] [--size 512]

`demo` is the demo subject with its avatar (`make demo` first); `anna`, of another shape, skin and hair, is made and
tracked here. anna drives demo's avatar, demo drives it itself, and both are held against demo's own frames:

- PSNR over white at the avatar's resolution, of frames that training never saw. Beside it: what the truth itself comes
  to as a driver (its errors are not those that the avatar has learned to live with), and anna's face on demo's own head
  motion, which leaves out what a degree of head rotation costs
- landmarks: of the driven film, as our detector sees it, against the truth's, px of 512
- expression: the driven film is tracked again, and what comes out is correlated with what was asked for; of both
  eyes together, and in brackets of the worse of the two

And the speed of it, encoding included, as processor time and as wall time. Runs the stages in this environment.
"""

import argparse
import contextlib
import io
import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from avatarmake.avatar import tracked
from avatarmake.avatar.model import Avatar
from avatarmake.avatar.performance import Performance
from avatarmake.contract import layout
from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import load
from avatarmake.formats import images
from avatarmake.formats.descriptions import read_crop
from avatarmake.formats.tracking import read_tracking
from avatarmake.geometry import cameras
from stages.drive import DriveConfig, bounds, neutral
from stages.drive.__main__ import Pictures, driven
from stages.drive.drivers import Driver
from stages.report.truth import crop_camera
from stages.train.compositing import composite
from stages.train.dataset import Picture
from stages.train.evaluation import measure

CHECKED = {  # what must come out as it was asked for: group, columns
    "jaw": ("jaw_pose", (0,)),
    "lids": ("eyelids", (0, 1)),
    "gaze up and down": ("eye_pose", (0, 3)),
    "gaze to the sides": ("eye_pose", (1, 4)),
    "smile": ("expression", (0,)),
}


def run(stage: str, subject: Subject, **options) -> float:
    """A stage in this process, unless it is done; -> seconds."""
    import importlib

    declared = load(stage)
    work = importlib.import_module(f"stages.{stage}.__main__").run
    started = time.monotonic()
    with contextlib.redirect_stdout(io.StringIO()):
        execute(declared, subject, declared.resolve(subject, declared.config(**options)), work)
    return time.monotonic() - started


def truth(subject: Subject, number: int, resolution: int) -> Picture:
    """Image `number` of the dataset, composited as training does."""
    dataset, masks = subject.directory("dataset"), subject.directory("masks")
    parts = [images.read_rgb(layout.dataset_image(dataset, number)), images.read_mask(layout.alpha_mask(masks, number))]
    parts += [images.read_mask(layout.parsing_mask(masks, number, name)) for name in ("neckhead", "mouth")]
    return Picture(*composite(*parts, resolution))


def pictures(avatar: Avatar, driven: Performance, subject: Subject, resolution: int, numbers: list[int]) -> dict:
    """Mean PSNR of dataset images `numbers` as the avatar shows them."""
    found = {"psnr_full": [], "psnr_head": []}
    config = DriveConfig(by="demo", size=resolution)
    shown = Pictures(config, avatar, tracked.of_dataset(subject.directory("refined"), subject.name), driven, None)
    for n in numbers:
        picture = shown.draw(n - 1)
        for name, value in measure(picture, truth(subject, n, resolution)).items():
            if name in found:
                found[name].append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def truth_performance(subject: Subject, own: Performance) -> Performance:
    """The truth of every frame as a driver, its camera turned to look through the crop's centre."""
    x, y, side = read_crop(subject.directory("frames") / "crop.json", subject.name, "box")["box"]
    with np.load(subject.truth) as npz:
        parts = {name: npz[name] for name in ("expression", "jaw_pose", "eye_pose", "eyelids")}
        r, t, focal = crop_camera(npz["R"], npz["t"], npz["intrinsics"], [x, y, side], 512)
    k = cameras.intrinsics_from_focal(focal, (512, 512)).astype(np.float32)
    return replace(own, R=r.astype(np.float32), t=t.astype(np.float32), intrinsics=k, image_size=(512, 512), **parts)


def driven_by(performance: Performance, avatar: Avatar, own: Performance) -> Performance:
    """What the stage makes of a performance that is no subject's."""
    who = Driver("truth", performance, neutral.find(performance))
    return driven(DriveConfig(by="truth"), avatar, own, neutral.find(own), bounds.bounds(own), who)[0]


def again(subject: Subject, film: Path, name: str) -> tuple[Performance, np.ndarray, list]:
    """The film, tracked as a subject of its own -> what it does, landmarks (F,478,2) px of the film, which frames."""
    other = Subject(subject.data, name)
    run("frames", other, video=film)
    run("track", other)
    frames, tracking = other.directory("frames"), other.directory("tracking")
    crop = read_crop(frames / "crop.json", name, "box", "fps", "times", "source_frames")
    performance = tracked.of_tracking(tracking, frames, name)
    found = json.loads((tracking / "tracker.json").read_text())["tracked"]
    x, y, side = crop["box"]
    marks = [read_tracking(layout.tracking_file(tracking, i)).landmarks * (side / 512) + [x, y] for i in found]
    return performance, np.stack(marks), found


def landmark_error(subject: Subject, marks: np.ndarray, found: list, size: int) -> float:
    """Median over frames of the mean distance from the truth, px of 512."""
    crop = read_crop(subject.directory("frames") / "crop.json", subject.name, "box")
    x, y, side = crop["box"]
    with np.load(subject.truth) as npz:
        true = (npz["landmarks"][found] - [x, y]) * (512 / side)
    return float(np.median(np.linalg.norm(marks * (512 / size) - true, axis=-1).mean(1)))


def correlations(asked: Performance, came: Performance, found: list) -> dict[str, tuple[float, float]]:
    """Of both eyes together, where there are two, and of the worse of them."""
    figures = {}
    for name, (group, columns) in CHECKED.items():
        a, b = getattr(asked, group)[found][:, columns], getattr(came, group)[:, columns]
        each = [np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)]
        figures[name] = (float(np.corrcoef(a.mean(1), b.mean(1))[0, 1]), float(min(each)))
    return figures


def speed(subject: Subject, by: str, size: int) -> tuple[float, float]:
    """Frames a second of wall time, and milliseconds of processor time a frame, of the stage's own loop."""
    from avatarmake.contract.stage import Job
    from stages.drive import __main__ as stage
    from stages.drive.sound import Sound

    declared = load("drive")
    config = declared.resolve(subject, declared.config(by=by, size=size))
    out = subject.root / ".bench-drive"
    out.mkdir(exist_ok=True)
    job = Job(declared, subject, config, out)
    avatar = Avatar.read(subject)
    own = tracked.of_dataset(subject.directory("refined"), subject.name)
    rest, limits = stage.neutral.find(own), stage.bounds.bounds(own)
    who = stage.driver(job, avatar, own, rest, limits)
    result, _ = stage.driven(config, avatar, own, rest, limits, who)
    pictures, best = stage.Pictures(config, avatar, own, result, None), (0.0, 0.0)
    for _ in range(3):
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            stage.films(job, who, pictures, result, Sound(None, 0))
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = max(best, (len(result) / seconds, 1e3 * processor / len(result)))
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--size", type=int, default=512)
    args = parser.parse_args()
    demo, anna = Subject(args.data, "demo"), Subject(args.data, "anna")
    run("demo", anna, person="anna")
    for stage in ("frames", "track", "convert", "mask", "refine"):
        run(stage, anna)
    avatar = Avatar.read(demo)
    evaluation = json.loads((demo.directory("avatar") / "evaluation.json").read_text())
    resolution, splits = evaluation["resolution"], evaluation["splits"]
    sets = {name: split["frames"] for name, split in splits.items() if split["frames"]}
    for name, split in splits.items():
        print(f"trained and judged, {name}: {split['psnr_full']:.2f} dB full, {split['psnr_head']:.2f} head")
    own = tracked.of_dataset(demo.directory("refined"), "demo")

    def told(what: str, performance: Performance) -> None:
        for name, numbers in sets.items():
            p = pictures(avatar, performance, demo, resolution, numbers)
            print(f"{what}, {name}: {p['psnr_full']:.2f} dB full, {p['psnr_head']:.2f} head", flush=True)

    told("the truth drives demo", driven_by(truth_performance(demo, own), avatar, own))
    for by in ("demo", "anna"):
        run("drive", demo, by=by, size=args.size, cameras="tracked")
        result = Performance.read(demo.directory(f"drives/{by}") / "parameters.npz")
        told(f"{by}, cameras as tracked, drives demo", result)
        run("drive", demo, by=by, size=args.size, cameras="refined")
        place = demo.directory(f"drives/{by}")
        result = Performance.read(place / "parameters.npz")
        told(f"{by} drives demo", result)
        if by == "anna":
            told("anna's face on demo's head motion", replace(result, R=own.R, t=own.t))
        came, marks, found = again(demo, place / "avatar.mp4", f"again-{by}")
        error = landmark_error(demo, marks, found, args.size)
        print(f"{by} drives demo: landmarks {error:.2f} px of 512 from the truth, {len(found)} frames seen again")
        figures = correlations(result, came, found).items()
        words = ", ".join(f"{name} {both:.3f}{f' ({worse:.3f})' * (both != worse)}" for name, (both, worse) in figures)
        print(f"{by} drives demo, tracked again, correlation: {words}")
    for size in (256, 512):
        with av.logging.Capture():
            rate, processor = speed(demo, "anna", size)
        print(f"{size} px, both films encoded: {rate:.0f} frames a second, {processor:.1f} ms of processor a frame")


if __name__ == "__main__":
    main()
