"""metrical-tracker's .frame, one an image: what `convert` writes and FlashAvatar trains on.

Upstream's names for keys stop here. On disk every array has a leading batch axis of 1 and is float32. Source:
metrical-tracker's checkpoints, as FlashAvatar's scene/__init__ reads them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.files.whole import whole
from avatarmake.formats import torch_archive
from avatarmake.formats.arrays import checked, wrong
from avatarmake.geometry import cameras


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


# field -> group, key, shape, what it is (for the message)
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


def write_frame(path: Path, r: FrameRecord, frame_id: int) -> None:
    """Write what `torch.load` reads as numpy arrays: torch tensors break FlashAvatar's R.transpose()."""
    flat = {}
    for name, (_, _, shape, meaning) in _FRAME.items():
        flat[name] = checked(getattr(r, name), shape, meaning, name, path)[None]
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
            raise wrong(path, f"has no {group}.{key}") from e
        values[name] = checked(value, (1, *shape), meaning, f"{group}.{key}", path)[0]
    size = payload.get("img_size")
    if np.shape(size) != (2,) or not all(float(s).is_integer() and s > 0 for s in size):
        raise wrong(path, f"img_size is {size}, expected (height, width)")
    return FrameRecord(**values, image_size=(int(size[1]), int(size[0])))
