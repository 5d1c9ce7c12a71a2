"""Small data of each kind that `make import` takes, written from the facts of its format, by nothing of stages/.

A point of the head, BLOB, is drawn where each kind's own camera sees it: so a test can look for it in what was imported
and hold it against what is written beside it.
"""

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from avatarmake.formats import torch_archive
from avatarmake.geometry import rotations
from tests.flame_model import named

FRAMES = 5
FOCAL = 1400.0
BLOB = np.array([0.02, 0.05, 0.06])  # metres, in the head's own axes
LEVEL = np.eye(3, dtype=np.float32)[:2].ravel()


def pose(i: int) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV R (3,3), t (3,) of frame i: a head that looks into the camera and nods."""
    turn = rotations.matrix_from_axis_angle(np.array([0.05 * i, 0.2 - 0.1 * i, 0.02]))
    return np.diag([1.0, -1.0, -1.0]) @ turn, np.array([0.01 * i, 0.03, 0.9 + 0.01 * i])


def intrinsics(focal: float = FOCAL, centre: tuple[float, float] = (256, 256)) -> np.ndarray:
    return np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])


def seen(point: np.ndarray, r: np.ndarray, t: np.ndarray, k: np.ndarray) -> np.ndarray:
    """(2,) pixels, centres at +0.5."""
    x, y, z = k @ (r @ point + t)
    return np.array([x / z, y / z])


def picture(at: np.ndarray, size: tuple[int, int] = (512, 512)) -> np.ndarray:
    """(h,w,3) uint8: a soft white spot on grey."""
    x, y = (np.exp(-((np.arange(n) + 0.5 - a) ** 2) / (2 * 4.0**2)) for n, a in zip(size, at, strict=True))
    spot = np.outer(y, x)
    return np.repeat(np.rint(40 + 200 * spot)[..., None], 3, -1).astype(np.uint8)


def centre(image: np.ndarray) -> np.ndarray:
    """(2,) of the spot in a picture."""
    weight = np.clip(image[..., 0].astype(np.float64) - 60, 0, None)
    y, x = np.indices(weight.shape) + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def mask(size: tuple[int, int] = (512, 512), value: int = 255) -> np.ndarray:
    out = np.zeros(size[::-1], np.uint8)
    out[size[1] // 4 : -size[1] // 4, size[0] // 4 : -size[0] // 4] = value
    return out


def save(image: np.ndarray, path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(image.tobytes(), image.shape, path.suffix, tuple(options.items())))
    return path


@cache
def encoded(pixels: bytes, shape: tuple, suffix: str, options: tuple) -> bytes:
    """Each picture once for all tests."""
    out = io.BytesIO()
    fast = {"compress_level": 1} if suffix == ".png" else {}
    image = Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape))
    image.save(out, Image.registered_extensions()[suffix], **fast, **dict(options))
    return out.getvalue()


def shape(count: int = 300) -> np.ndarray:
    return np.random.default_rng(3).normal(size=count).astype(np.float32)


def expression(i: int, count: int = 100) -> np.ndarray:
    return np.random.default_rng([4, i]).normal(size=count).astype(np.float32)


# --- metrical-tracker ------------------------------------------------------------------------------------------------


def payload(i: int, k: np.ndarray, size=(512, 512), shapes: int = 300, expressions: int = 100) -> dict:
    """What save_checkpoint writes: batch axes of 1, frame_id as text, the camera a second time in PyTorch3D's terms."""
    r, t = pose(i)
    w, h = size
    half = min(size) / 2
    view = r.T * np.array([-1.0, -1, 1])
    jaw = rotations.matrix_from_axis_angle(np.array([0.1 + 0.02 * i, 0, 0]))[:2].ravel()
    f4 = np.float32
    return {
        "flame": {
            "exp": expression(i, expressions)[None],
            "shape": shape(shapes)[None],
            "tex": np.full((1, 140), 0.3, f4),
            "sh": np.ones((1, 9, 3), f4),
            "eyes": np.tile(LEVEL, 2)[None],
            "eyelids": np.array([[0.1, 0.2]], f4),
            "jaw": jaw.astype(f4)[None],
        },
        "camera": {
            "R": view[:2].ravel()[None].astype(f4),
            "t": (t * (-1, -1, 1))[None].astype(f4),
            "fl": np.array([[k[0, 0] / half]], f4),
            "pp": np.array([[(w / 2 - k[0, 2]) / half, (h / 2 - k[1, 2]) / half]], f4),
        },
        "opencv": {"R": r[None].astype(f4), "t": t[None].astype(f4), "K": k[None].astype(f4)},
        "img_size": np.array([h, w], np.int64),
        "frame_id": f"{i:05d}",
        "global_step": 200 * i,
    }


def write_frame(path: Path, content: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch_archive.dump(content, path)
    return path


def as_saved_from_a_gpu(content: dict, path: Path) -> None:
    """The arrays as torch.save leaves tensors of a GPU, without PyTorch: their numbers beside the pickle, by name."""
    storages, text = [], io.BytesIO()
    with named("torch._utils", "_rebuild_tensor_v2") as rebuild, named("torch", "FloatStorage") as kind:

        class Tensor:
            def __init__(self, array):
                self.array = array

            def __reduce__(self):
                a = self.array
                storages.append(a.tobytes())
                strides = tuple(s // a.itemsize for s in a.strides)
                where = Stored(("storage", kind, str(len(storages) - 1), "cuda:0", a.size))
                return rebuild, (where, 0, a.shape, strides, False, OrderedDict())

        class Pickler(pickle.Pickler):
            def persistent_id(self, value):
                return value.about if isinstance(value, Stored) else None

        held = {g: {k: Tensor(v) for k, v in c.items()} if isinstance(c, dict) else c for g, c in content.items()}
        Pickler(text, 2).dump(held)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", text.getvalue())
        for key, raw in enumerate(storages):
            archive.writestr(f"archive/data/{key}", raw)


class Stored:
    """What stands for a storage in a pickle."""

    def __init__(self, about: tuple):
        self.about = about


def metrical_tracker(root: Path, centre: tuple[float, float] = (256, 256), size=(512, 512), **sizes: int) -> Path:
    """output/<actor>: checkpoint/, input/ (and input/ of a first step), mesh/."""
    k = intrinsics(centre=centre)
    for i in range(FRAMES):
        write_frame(root / f"checkpoint/{i:05d}.frame", payload(i, k, size, **sizes))
        save(picture(seen(BLOB, *pose(i), k), size), root / f"input/{i:05d}.png")
    save(picture(np.zeros(2), size), root / "input/00100.png")
    (root / "mesh").mkdir()
    return root


def flashavatar(root: Path, centre: tuple[float, float] = (256, 256), value: int = 255) -> Path:
    """One folder with imgs, alpha, parsing and checkpoint: image N + 1 belongs to N.frame."""
    k = intrinsics(centre=centre)
    for i in range(FRAMES):
        write_frame(root / f"checkpoint/{i:05d}.frame", payload(i, k))
        save(picture(seen(BLOB, *pose(i), k)), root / f"imgs/{i + 1:05d}.jpg", quality=95, subsampling=0)
        save(mask(value=value), root / f"alpha/{i + 1:05d}.jpg", quality=100)
        for part in ("neckhead", "mouth"):
            save(mask(value=value), root / f"parsing/{i + 1:05d}_{part}.png")
    return root


# --- INSTA -----------------------------------------------------------------------------------------------------------


def insta(root: Path, centre: tuple[float, float] = (250, 261), checkpoint: bool = True, labels: bool = True) -> Path:
    """transforms.py's and postprocess.py's output: pose = inverse of the OpenCV camera, RGBA, seg_mask in red."""
    k, frames = intrinsics(centre=centre), []
    for i in range(FRAMES):
        name, (r, t) = f"{i:05d}", pose(i)
        rgb = picture(seen(BLOB, r, t, k))
        for folder in ("images", "matted"):
            save(np.dstack([rgb, mask()]), root / f"{folder}/{name}.png")
        if labels:
            colours = np.zeros((512, 512, 3), np.uint8)
            colours[100:400, 100:400, 0], colours[300:320, 200:300, 0] = 250, 140  # skin; mouth
            colours[400:, :, 0] = 90  # clothes
            save(colours, root / f"seg_mask/{name}.png")
        (root / "flame/exp").mkdir(parents=True, exist_ok=True)
        np.savetxt(root / f"flame/exp/{name}.txt", expression(i), fmt="%.8f")
        if checkpoint:
            write_frame(root / f"checkpoint/{name}.frame", payload(i, k))
        pose_of_it = np.linalg.inv(np.block([[r, t[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]]))
        frames.append({"file_path": f"images/{name}.png", "mesh_path": f"meshes/{name}.obj"})
        frames[-1] |= {"exp_path": f"flame/exp/{name}.txt", "transform_matrix": pose_of_it.tolist()}
    shared = {"w": 512.0, "h": 512.0, "cx": centre[0], "cy": centre[1], "fl_x": FOCAL, "fl_y": FOCAL}
    (root / "transforms.json").write_text(json.dumps(shared | {"frames": frames}))
    return root


# --- VHAP, GaussianAvatars -------------------------------------------------------------------------------------------


def rigid(i: int) -> dict[str, np.ndarray]:
    """What moves VHAP's head: radians and metres, (3,) each."""
    return {
        "rotation": np.array([0.1, 0.2 - 0.1 * i, 0.05]),
        "neck_pose": np.array([0.05 * i, 0.1, -0.04]),
        "translation": np.array([0.01 * i, -0.02, 0.03]),
    }


def vhap(root: Path, size=(550, 802), centre=(270.0, 390.0), cameras=(0,), expressions=100, shapes=300, still=False):
    """An export: OpenGL cameras, cy counted from below, an npz for each time step. Its pictures are empty."""
    frames, (w, h) = [], size
    for camera in cameras:
        pose_gl = opengl_camera(camera)
        for i in range(FRAMES):
            name = f"{i:05d}_{camera:02d}"
            held = {n: v * (n == "translation" or not still) for n, v in rigid(i).items()}
            flame = {n: v[None].astype(np.float32) for n, v in held.items()}
            flame |= {"jaw_pose": np.array([[0.1, 0, 0]], np.float32), "eyes_pose": np.zeros((1, 6), np.float32)}
            flame |= {"shape": 0.3 * shape(shapes), "expr": 0.3 * expression(i, expressions)[None]}
            flame["static_offset"] = static_offset()[None]
            (root / "flame_param").mkdir(parents=True, exist_ok=True)
            np.savez(root / f"flame_param/{i:05d}.npz", **flame)
            save(np.full((h, w, 3), 200, np.uint8), root / f"images/{name}.png")
            save(mask(size), root / f"fg_masks/{name}.png")
            frames.append({"timestep_index": i, "camera_index": camera, "camera_id": str(camera), "w": w, "h": h})
            frames[-1] |= {"fl_x": FOCAL, "fl_y": FOCAL, "cx": centre[0], "cy": h - centre[1]}
            frames[-1] |= {"transform_matrix": pose_gl.tolist(), "file_path": f"images/{name}.png"}
            frames[-1] |= {"fg_mask_path": f"fg_masks/{name}.png", "flame_param_path": f"flame_param/{i:05d}.npz"}
    (root / "transforms.json").write_text(json.dumps({"frames": frames}))
    return root


def opengl_camera(number: int = 0) -> np.ndarray:
    """(4,4) camera to world, x right, y up, z back: a metre before the head; each further one turned aside more."""
    turn = rotations.matrix_from_axis_angle(np.array([0.02, 0.5 * number, 0]))
    pose_gl = np.eye(4)
    pose_gl[:3, :3], pose_gl[:3, 3] = turn, turn @ [0, 0, 1.0]
    return pose_gl


def static_offset() -> np.ndarray:
    return np.random.default_rng(9).normal(scale=1e-3, size=(5143, 3)).astype(np.float32)


# --- flame-head-tracker ----------------------------------------------------------------------------------------------


def head_tracker(root: Path, pictures: str = "inside", neck: float = 0.0, gaps: tuple = (2,), smile=1.0) -> Path:
    """N.npz as its video script saves them: K of 256 px, OpenGL camera pose in `cam`, the picture in it or beside."""
    root.mkdir(parents=True, exist_ok=True)
    k = intrinsics(FOCAL / 2, (128, 128))
    for i in range(FRAMES):
        if i in gaps:
            continue
        f4 = np.float32
        content = {
            "shape": shape()[None],
            "exp": smile * expression(i)[None],
            "head_pose": np.zeros((1, 3), f4),
            "jaw_pose": np.full((1, 3), 0.05, f4),
            "neck_pose": np.array([[neck, 0, 0]], f4),
            "eye_pose": np.zeros((1, 6), f4),
            "cam": np.array([[0.1, 0.05 * i, 0.02, 0.01, 0.02, 1.0]], f4),
            "K": k[None].astype(f4),
            "blendshape_scores": np.full((1, 52), 0.25, f4),
            "img_rendered": np.zeros((1, 8, 8, 3), np.uint8),
        }
        image = picture(np.array([100.0 + 40 * i, 256]))
        if pictures == "inside":
            content["img"] = image[None]
        np.savez_compressed(root / f"{i}.npz", **content)
        if pictures == "beside":
            save(image, root / f"images/{i + 1:05d}.png")
    return root
