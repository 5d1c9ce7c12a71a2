"""The two formats between tracker and trainer: flame-head-tracker's .npz and metrical-tracker's .frame.

Upstream's names for keys stop here; the rest of the project uses DESIGN's. On disk every array has a leading batch
axis of 1 and is float32; in memory there is no batch axis. Sources: flame-head-tracker v4.1 (commit 0752b00),
tracker_base and tracker_video; metrical-tracker's checkpoints, as FlashAvatar's scene/__init__ reads them.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stages import cameras, torch_archive
from stages.errors import StageError
from stages.layout import IMAGE_SIZE
from stages.publication import whole

TRACKER_SIZE = 256  # side in pixels that flame-head-tracker's K refers to, whatever the image
LEFT_BLINK, RIGHT_BLINK = 9, 10  # eyeBlinkLeft, eyeBlinkRight among MediaPipe's 52 blendshapes


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


@dataclass
class FrameRecord:
    """What FlashAvatar trains on, for one frame. Rotations are 6D by ROWS; the camera is OpenCV's."""

    shape: np.ndarray  # (300,)
    expression: np.ndarray  # (100,)
    jaw_rot6d: np.ndarray  # (6,)
    eyes_rot6d: np.ndarray  # (12,) left, right
    eyelids: np.ndarray  # (2,) left, right; 0 open, 1 closed
    R: np.ndarray  # (3,3) world to camera
    t: np.ndarray  # (3,)
    intrinsics: np.ndarray  # (3,3) pixels of `image_size`
    image_size: tuple[int, int] = (IMAGE_SIZE, IMAGE_SIZE)  # w, h


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
_FRAME = {
    "shape": ("flame", "shape", (300,), "identity"),
    "expression": ("flame", "exp", (100,), "expression"),
    "jaw_rot6d": ("flame", "jaw", (6,), "6D rotation"),
    "eyes_rot6d": ("flame", "eyes", (12,), "6D rotations, left and right"),
    "eyelids": ("flame", "eyelids", (2,), "closure, left and right"),
    "R": ("opencv", "R", (3, 3), "rotation"),
    "t": ("opencv", "t", (3,), "translation"),
    "intrinsics": ("opencv", "K", (3, 3), "intrinsics"),
}


# --- flame-head-tracker's .npz ------------------------------------------------------------------------------------


def tracked_indices(root: Path) -> list[int]:
    """The 0-based numbers of a tracking directory's .npz files, in order. Image `index + 1` of frames/."""
    return sorted(int(p.stem) for p in root.glob("*.npz") if p.stem.isdecimal())


def write_tracking(path: Path, t: Tracking) -> None:
    """Write one frame whole or not at all; the same values give the same bytes. `t.image_size` must be 512 x 512."""
    if tuple(t.image_size) != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"intrinsics refer to {t.image_size}, the format knows {IMAGE_SIZE} only")
    values = {name: getattr(t, name) for name in _NPZ}
    values["intrinsics"] = cameras.scaled_intrinsics(t.intrinsics, TRACKER_SIZE / IMAGE_SIZE)
    arrays = {}
    for name, (key, shape, meaning, _) in _NPZ.items():
        if values[name] is not None:
            arrays[key] = _checked(values[name], shape, meaning, name, path)[None]
    focal = float(arrays["K"][0, 1, 1])
    arrays["fov"] = np.array([2 * np.degrees(np.arctan(TRACKER_SIZE / 2 / focal))], np.float32)
    arrays["tex"] = np.zeros((1, 50), np.float32)  # the texture model that landmark fitting does not use
    arrays["light"] = np.zeros((1, 9, 3), np.float32)
    with whole(path) as temporary, temporary.open("wb") as f:
        np.savez(f, **arrays)


def read_tracking(path: Path) -> Tracking:
    """Read and check one frame, ours or upstream's own. Raises StageError that says what is wrong and where."""
    values = {}
    try:
        with zipfile.ZipFile(path) as npz:
            there = set(npz.namelist())
            for name, (key, shape, meaning, optional) in _NPZ.items():
                if f"{key}.npy" in there:
                    values[name] = _checked(_npy(npz.read(f"{key}.npy")), (1, *shape), meaning, key, path)[0]
                elif not optional:
                    raise _wrong(path, f"has no {key}")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, KeyError, OSError) as e:
        if isinstance(e, OSError) and e.errno is not None:
            raise
        raise _wrong(path, f"is no readable .npz: truncated or corrupt ({e})") from e
    values["intrinsics"] = cameras.scaled_intrinsics(values["intrinsics"], IMAGE_SIZE / TRACKER_SIZE).astype(np.float32)
    return Tracking(**values)


def _npy(raw: bytes) -> np.ndarray:
    """The .npy format: what np.load(allow_pickle=False) does, in half the time, because headers are parsed once."""
    if raw[:8] != b"\x93NUMPY\x01\x00":
        return np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)
    end = 10 + int.from_bytes(raw[8:10], "little")
    shape, fortran_order, dtype = _npy_header(raw[8:end])
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which could run code")
    return np.frombuffer(raw, dtype, offset=end).reshape(shape, order="F" if fortran_order else "C").copy()


@lru_cache(256)
def _npy_header(raw: bytes) -> tuple[tuple, bool, np.dtype]:
    """numpy evaluates the header as Python source, which takes longer than reading the array; headers repeat."""
    return np.lib.format.read_array_header_1_0(io.BytesIO(raw))


# --- metrical-tracker's .frame ------------------------------------------------------------------------------------


def write_frame(path: Path, r: FrameRecord, frame_id: int) -> None:
    """Write what `torch.load` reads as numpy arrays: torch tensors break FlashAvatar's R.transpose()."""
    flat = {}
    for name, (_, _, shape, meaning) in _FRAME.items():
        flat[name] = _checked(getattr(r, name), shape, meaning, name, path)[None]
    w, h = r.image_size
    view_r, view_t = cameras.pytorch3d_view(flat["R"].astype(np.float64), flat["t"].astype(np.float64))
    k = flat["intrinsics"][0]
    # PyTorch3D's NDC: the shorter side is 2, y up and x left, so an off-centre principal point changes its sign
    half = min(w, h) / 2
    payload = {
        "flame": {
            "exp": flat["expression"],
            "shape": flat["shape"],
            "tex": np.zeros((1, 140), np.float32),
            "sh": np.zeros((1, 9, 3), np.float32),
            "eyes": flat["eyes_rot6d"],
            "eyelids": flat["eyelids"],
            "jaw": flat["jaw_rot6d"],
        },
        "camera": {
            "R": np.ascontiguousarray(view_r[:, :2].reshape(1, 6), np.float32),
            "t": np.ascontiguousarray(view_t, np.float32),
            "fl": np.array([[k[1, 1] / half]], np.float32),
            "pp": np.array([[(w / 2 - k[0, 2]) / half, (h / 2 - k[1, 2]) / half]], np.float32),
        },
        "opencv": {"R": flat["R"], "t": flat["t"], "K": flat["intrinsics"]},
        "img_size": np.array([h, w], np.int64),
        "frame_id": frame_id,
        "global_step": frame_id,
    }
    with whole(path) as temporary:
        torch_archive.dump(payload, temporary)


def read_frame(path: Path) -> FrameRecord:
    """Read and check a .frame, ours or metrical-tracker's. Runs nothing the file asks for. Raises StageError."""
    payload = torch_archive.load(path)
    values = {}
    for name, (group, key, shape, meaning) in _FRAME.items():
        try:
            value = payload[group][key]
        except (KeyError, TypeError, IndexError) as e:
            raise _wrong(path, f"has no {group}.{key}") from e
        values[name] = _checked(value, (1, *shape), meaning, f"{group}.{key}", path)[0]
    size = payload.get("img_size")
    if np.shape(size) != (2,) or not all(float(s).is_integer() and s > 0 for s in size):
        raise _wrong(path, f"img_size is {size}, expected (height, width)")
    return FrameRecord(**values, image_size=(int(size[1]), int(size[0])))


# --- checks -------------------------------------------------------------------------------------------------------


def _checked(value: Any, shape: tuple, meaning: str, name: str, path: Path) -> np.ndarray:
    """`value` as contiguous float32 of exactly this shape, all finite; StageError otherwise."""
    array = np.asarray(value)
    if array.shape != shape:
        got, expected = array.shape, shape
        if len(got) == len(shape) and got[0] == shape[0] == 1:  # the batch axis says nothing
            got, expected = got[1:], shape[1:]
        raise _wrong(path, f"{name} is {got}, expected {expected} {meaning}")
    if array.dtype.kind != "f":
        raise _wrong(path, f"{name} is {array.dtype}, expected floats")
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise _wrong(path, f"{name} holds NaN or infinity")
    return array


def _wrong(path: Path, what: str) -> StageError:
    """A fault of a subject's file, named as `tracking/17.npz`, with the target that writes it again."""
    dataset = path.suffix == ".frame"
    subject = path.parents[2 if dataset else 1].name if len(path.parents) > (2 if dataset else 1) else ""
    verb = "convert" if dataset else "track"
    return StageError(what, f"{path.parent.name}/{path.name}", f"Run: make {verb} ID={subject}" if subject else "")
