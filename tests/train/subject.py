"""A small subject in the format of dataset/ and masks/, drawn by the rasteriser itself: exact truth in seconds."""

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from avatarmake import head_model
from avatarmake.avatar.binding import COLUMNS
from avatarmake.avatar.rasteriser import Camera
from avatarmake.avatar.surface import sample
from avatarmake.contract import layout
from avatarmake.formats import images
from avatarmake.formats.frame import FrameRecord, write_frame
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.body import body, root_weights
from stages.train.binding import bind
from stages.train.rasteriser import rasterise

SIZE = 256


def write(
    root: Path, frames: int, size: int = SIZE, gaussians: int = 5000, body_seconds: float = 0.0
) -> tuple[Path, Path]:
    """-> dataset/, masks/ of `frames` images: a head that turns, opens its mouth and smiles, over a Body."""
    dataset, masks = root / "dataset", root / "masks"
    for folder in (dataset / "checkpoint", dataset / "imgs", masks / "alpha", masks / "parsing"):
        folder.mkdir(parents=True)
    model = head_model.load("open")
    t = np.arange(frames) / 25
    expression = np.zeros((frames, 100), np.float32)
    expression[:, 0], expression[:, 2] = np.sin(4 * t), np.cos(3 * t)
    jaw = np.zeros((frames, 3), np.float32)
    jaw[:, 0] = 0.1 + 0.1 * np.sin(7 * t)
    turn = rotations.matrix_from_axis_angle(np.stack([0.05 * np.sin(2 * t), 0.3 * np.sin(2.5 * t), 0 * t], 1))
    rotation, translation = (cameras.FLIP @ turn).astype(np.float32), np.array([0, 0, 0.9], np.float32)
    meshes = model.vertices(np.zeros(300, np.float32), expression, jaw)
    centre = model.v_template.mean(0)
    shift = (translation - rotation @ centre).astype(np.float32)
    k = cameras.intrinsics_from_focal(2.2 * size, (size, size))
    below = body(model, np.zeros(300, np.float32), rotation, shift, k, t, body_seconds)
    meshes = below.bend(meshes, root_weights(model))
    surface = sample(model, meshes[:1], rotation[:1], shift[:1], gaussians)
    learned = torch.zeros(gaussians, COLUMNS)
    place = torch.from_numpy((model.v_template[surface.corners] * surface.weights[..., None]).sum(1))
    learned[:, 11:14] = 0.35 * torch.sin(place @ torch.tensor([[60.0, 15, 90], [110, 80, 30], [40, 10, 20]]))
    camera = Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], size, size)
    for i in range(frames):
        where = (torch.from_numpy(rotation[i]), torch.from_numpy(shift[i]))
        image = rasterise(*bind(learned, meshes[i], surface), *where, camera, (0.2, 0.5, 0.3)).numpy()
        _frame(dataset, masks, i, image)
        mouth = model.v_template[model.vertex_region("lips")].mean(0)
        x, y = cameras.project(mouth[None], rotation[i], shift[i], k)[0].astype(int)
        mask = np.zeros((size, size), np.uint8)
        mask[y - size // 25 : y + size // 20, x - size // 15 : x + size // 15] = 255
        images.write_png(layout.parsing_mask(masks, i + 1, "mouth"), mask)
        still = rotations.rot6d_from_matrix(np.eye(3, dtype=np.float32))
        record = FrameRecord(
            shape=np.zeros(300, np.float32),
            expression=expression[i],
            jaw_rot6d=rotations.rot6d_from_matrix(rotations.matrix_from_axis_angle(jaw[i])),
            eyes_rot6d=np.concatenate([still, still]),
            eyelids=np.zeros(2, np.float32),
            R=rotation[i],
            t=shift[i],
            intrinsics=k.astype(np.float32),
            image_size=(size, size),
        )
        write_frame(layout.checkpoint_file(dataset, i), record, i)
    numbers = list(range(1, frames + 1))
    index = {"head_model": "open", "head_model_digest": model.digest, "image_size": [size, size], "fps": 25.0}
    index |= {"focal": float(k[0, 0]), "images": numbers, "source_frames": [n - 1 for n in numbers], "times": list(t)}
    (dataset / "index.json").write_text(json.dumps(index))
    return dataset, masks


def _frame(dataset: Path, masks: Path, i: int, image: np.ndarray) -> None:
    pixels = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    images.write_jpeg(layout.dataset_image(dataset, i + 1), pixels[:3].transpose(1, 2, 0))
    images.write_jpeg(layout.alpha_mask(masks, i + 1), pixels[3])
    images.write_png(layout.parsing_mask(masks, i + 1, "neckhead"), np.where(pixels[3] > 127, 255, 0).astype(np.uint8))


def refined(root: Path) -> Path:
    """refined/ as `refine` leaves it where it leaves cameras as they were, with its receipt."""
    place = root / "refined"
    shutil.copytree(root / "dataset", place, ignore=shutil.ignore_patterns("imgs", "stage.json"))
    (place / "stage.json").write_text(json.dumps({"outputs": {"digest": "refined"}}))
    return place


def finished(root: Path, frames: int, **options) -> None:
    """The same, with the receipts that the contract asks of dataset/, masks/ and refined/."""
    for directory in write(root, frames, **options):
        (directory / "stage.json").write_text(json.dumps({"outputs": {"digest": directory.name}}))
    refined(root)
