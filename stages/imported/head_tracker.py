"""flame-head-tracker's results: N.npz a frame, with the picture in it or beside it, or beside the video.

Source: flame-head-tracker (commit 0752b00) tracker_video.py and tracker_base.py: N counts the frames that it took from
0; `img` is what was fitted: a crop of 512 x 512, or the video's frame, which K sees drawn to a square of 256 px. Its
photometric fitting turns the neck. What it found is what `convert` reads: no tracker.json, so FLAME's.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats.tracking import Tracking, read_tracking
from avatarmake.geometry import cameras
from stages.imported import npz_file, parameters, video
from stages.imported.found import Found, Shot, counted, numbered
from stages.imported.joints import Joints, into_camera

PICTURES = (".png", ".jpg", ".jpeg")
FOLDERS = ("images", "imgs", "frames", ".")
STILL = 1e-6
ZERO = np.zeros(3, np.float32)


def is_one(folder: Path) -> bool:
    first = next(iter(sorted(numbered(folder, (".npz",)).items())), None)
    return first is not None and {"exp", "cam", "K"} <= npz_file.names(first[1])


def read(folder: Path, subject: str, fps: float | None = None) -> Found:
    files, necks = numbered(folder, (".npz",)), Necks()
    if not files:
        raise StageError("holds no N.npz", folder)
    order = sorted(files)
    images, pictures, notes = _images(folder, order, files, fps)
    shots = []
    for number in order:
        if images and number not in images:
            continue
        tracking = necks.into_camera(_tracking(files[number]))
        shots.append(Shot(number, files[number].name, tracking=tracking, image=images.get(number)))
    if lost := set(order) - {shot.number for shot in shots}:
        notes.append(f"{counted(lost, 'frame')} without an image: dropped")
    if gaps := order[-1] + 1 - order[0] - len(order):
        notes.append(f"{gaps} numbers between {order[0]} and {order[-1]} have no file: no face was found there")
    kind = "flame-head-tracker"
    return Found(kind, folder, shots, notes, "flame", pictures=pictures, neck_degrees=necks.degrees)


def _tracking(path: Path) -> Tracking:
    try:
        return read_tracking(path)
    except StageError as e:
        raise StageError(e.what, path, "Track that frame again, or take its file away") from e


def _images(folder: Path, order: list[int], files: dict[int, Path], fps: float | None):
    """-> number -> file, or what yields the pictures of `order`; and what is said of it."""
    if "img" in npz_file.names(files[order[0]]):
        return {}, lambda: _inside([files[n] for n in order]), ["the pictures are those in its .npz files"]
    for place in FOLDERS:
        there = numbered(folder / place, PICTURES)
        if there:
            first = 0 if 0 in there else 1  # trackers count from 0, FFmpeg from 1
            return {n: there[n + first] for n in order if n + first in there}, None, []
    film = video.beside(folder)
    if film is None:
        what = "its .npz files hold no picture (img), and there are no images and no video beside them"
        raise StageError(what, folder, "Put the video, or images 00000.png ..., into the folder")
    interval = video.interval(film, fps, order[-1])
    said = f"the pictures are those of {film.name}, every {interval:g}." if interval != 1 else f"... of {film.name}"
    return {}, lambda: video.frames(film, [int(n * interval) for n in order]), [said]


def _inside(paths: list[Path]) -> Iterator[np.ndarray]:
    for path in paths:
        image = npz_file.arrays(path, ["img"]).get("img")
        image = image[0] if image is not None and image.ndim == 4 else image
        if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            found = "missing" if image is None else f"{image.shape} of {image.dtype}"
            raise StageError(f"its picture img is {found}, expected (height, width, 3) of uint8", path)
        yield image


class Necks:
    """Photometric fitting leaves a neck pose, which FlashAvatar has none of: it goes into the camera."""

    def __init__(self):
        self._joints, self.degrees = Joints(), 0.0

    def into_camera(self, t: Tracking) -> Tracking:
        if max(np.abs(t.neck_pose).max(), np.abs(t.head_pose).max()) <= STILL:
            return t
        self.degrees = max(self.degrees, parameters.degrees(t.neck_pose.astype(np.float64)))
        r, shift = cameras.extrinsics_from_cam(t.cam)
        joints = self._joints.of(t.shape, t.expression)
        r, shift = into_camera(r, shift, joints, t.head_pose, t.neck_pose, np.zeros(3))
        cam = cameras.cam_from_extrinsics(r, shift).astype(np.float32)
        return replace(t, cam=cam, head_pose=ZERO, neck_pose=ZERO)
