"""flame-head-tracker's .npz, one a tracked frame: what trackers write and `convert` reads.

Upstream's names for keys stop here; docs/conventions.md has both. On disk every array has a leading batch axis of 1 and
is float32; in memory there is no batch axis. Source: flame-head-tracker v4.1 (commit 0752b00), tracker_base and
tracker_video.
"""

import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avatarmake.contract import layout
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats import npy, zips
from avatarmake.formats.arrays import checked, wrong
from avatarmake.formats.npz import write_npz
from avatarmake.geometry import cameras

TRACKER_SIZE = 256  # side in pixels that flame-head-tracker's K refers to, whatever the image
LEFT_BLINK, RIGHT_BLINK = 9, 10  # eyeBlinkLeft, eyeBlinkRight among MediaPipe's 52 blendshapes
LARGEST = 1 << 26  # bytes of an array, of which the largest that is read has four thousand
PADDED = range(2, 10)  # digits of a file's number that somebody padded with zeros


def _zeros(*shape: int) -> Any:
    return field(default_factory=lambda: np.zeros(shape, np.float32))


@dataclass
class Tracking:
    """One tracked frame. Rotations are axis-angle in radians; all rigid motion is in `cam`."""

    shape: np.ndarray  # (300,)
    expression: np.ndarray  # (100,)
    jaw_pose: np.ndarray  # (3,)
    eye_pose: np.ndarray  # (6,) subject's left eye first
    cam: np.ndarray  # (6,) camera pose: cameras.extrinsics_from_cam
    intrinsics: np.ndarray  # (3,3) pixels of `image_size`
    image_size: tuple[int, int] = (IMAGE_SIZE, IMAGE_SIZE)  # w, h
    eyelids: np.ndarray | None = None  # (2,) subject's left, right; 0 open, 1 closed. Upstream has none
    blendshapes: np.ndarray | None = None  # (52,) MediaPipe's scores
    landmarks: np.ndarray | None = None  # (478,2) raw detections in pixels, centres at +0.5. Upstream has none
    head_pose: np.ndarray = _zeros(3)
    neck_pose: np.ndarray = _zeros(3)

    @property
    def eyelid_closure(self) -> np.ndarray | None:
        """`eyelids`, or MediaPipe's blink scores where the tracker solved for none: (2,) left, right, or None."""
        if self.eyelids is not None or self.blendshapes is None:
            return self.eyelids
        return self.blendshapes[[LEFT_BLINK, RIGHT_BLINK]]


# field -> upstream's key, shape, what it is (for the message), whether a file may lack it
_NPZ = {
    "shape": ("shape", (300,), "identity", False),
    "expression": ("exp", (100,), "expression", False),
    "jaw_pose": ("jaw_pose", (3,), "axis-angle", False),
    "eye_pose": ("eye_pose", (6,), "axis-angle, left and right", False),
    "cam": ("cam", (6,), "camera pose", False),
    "intrinsics": ("K", (3, 3), "intrinsics", False),
    "eyelids": ("eyelids", (2,), "closure, left and right", True),
    "blendshapes": ("blendshape_scores", (52,), "scores", True),
    "landmarks": ("landmarks", (478, 2), "pixels", True),
    "head_pose": ("head_pose", (3,), "axis-angle", True),
    "neck_pose": ("neck_pose", (3,), "axis-angle", True),
}


def tracked_indices(root: Path) -> list[int]:
    """The 0-based numbers of a tracking directory's .npz files, in order. Image `index + 1` of frames/.

    Raises StageError where two files have the same number: 7.npz and 00007.npz.
    """
    files: dict[int, Path] = {}
    for path in root.glob("*.npz"):
        if re.fullmatch("[0-9]{1,9}", path.stem) and files.setdefault(int(path.stem), path) != path:
            other = files[int(path.stem)].name
            raise StageError(f"is frame {int(path.stem)}, and so is {other}", path, "Move one of them away")
    return sorted(files)


def tracked_file(root: Path, index: int) -> Path:
    """The file of a frame that is there: 7.npz as trackers name it, or padded by a user's hand, 00007.npz."""
    plain = layout.tracking_file(root, index)
    padded = (root / f"{index:0{width}d}.npz" for width in PADDED)
    return plain if plain.exists() else next((p for p in padded if p.exists()), plain)


def write_tracking(path: Path, t: Tracking) -> None:
    """Write one frame whole or not at all; the same values give the same bytes. `t.image_size` must be 512 x 512."""
    if tuple(t.image_size) != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"intrinsics refer to {t.image_size}, the format knows {IMAGE_SIZE} only")
    values = {name: getattr(t, name) for name in _NPZ}
    values["intrinsics"] = cameras.scaled_intrinsics(t.intrinsics, TRACKER_SIZE / IMAGE_SIZE)
    arrays = {}
    for name, (key, shape, meaning, _) in _NPZ.items():
        if values[name] is not None:
            arrays[key] = checked(values[name], shape, meaning, name, path)[None]
    focal = float(arrays["K"][0, 1, 1])
    arrays["fov"] = np.array([2 * np.degrees(np.arctan(TRACKER_SIZE / 2 / focal))], np.float32)
    arrays["tex"] = np.zeros((1, 50), np.float32)  # the texture model that landmark fitting does not use
    arrays["light"] = np.zeros((1, 9, 3), np.float32)
    with whole(path) as temporary:
        write_npz(temporary, arrays)


def read_tracking(path: Path) -> Tracking:
    """Read and check one frame, ours or upstream's own. Raises StageError that says what is wrong and where."""
    values = {}
    try:
        with zips.opened(path) as npz:
            there = set(npz.namelist())
            for name, (key, shape, meaning, optional) in _NPZ.items():
                if f"{key}.npy" in there:
                    array = _batch_of_one(npy.array(zips.read(npz, f"{key}.npy", LARGEST)), shape)
                    values[name] = checked(array, (1, *shape), meaning, key, path)[0]
                elif not optional:
                    raise wrong(path, f"has no {key}")
    except (zipfile.BadZipFile, ValueError) as e:
        raise wrong(path, f"is no readable .npz: truncated or corrupt ({e})") from e
    values["intrinsics"] = cameras.scaled_intrinsics(values["intrinsics"], IMAGE_SIZE / TRACKER_SIZE).astype(np.float32)
    return Tracking(**values)


def _batch_of_one(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """With one leading axis of 1, where other tools have dropped it or added more."""
    while array.ndim > len(shape) + 1 and array.shape[0] == 1:
        array = array[0]
    return array[None] if array.shape == shape else array
