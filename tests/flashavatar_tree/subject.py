"""A subject with finished dataset/ and masks/ of any length, in no time: files of a few pictures, linked many times."""

import json
import os
from pathlib import Path

import numpy as np

from avatarmake.contract import layout
from avatarmake.formats import images
from avatarmake.formats.frame import write_frame
from stages.convert.record import convert
from tests.synthetic import SUBJECT, finish, performance

PICTURES = 7  # of them, in turn: neighbouring frames differ, and so do frames 50 and 500 apart
SIDE = layout.IMAGE_SIZE


def write(data: Path, frames: int, head_model: str = "flame", digest: str = "") -> layout.Subject:
    """data/fake/ with `frames` frames of tests.synthetic's performance."""
    subject = layout.Subject(data, SUBJECT)
    dataset, masks = subject.directory("dataset"), subject.directory("masks")
    for folder in (dataset / "checkpoint", dataset / "imgs", masks / "alpha", masks / "parsing"):
        folder.mkdir(parents=True)
    for i in range(frames):
        record = convert(performance(i), "the test")
        record.t = np.array([0.02 * np.sin(i / 5), 0.01, 0.9 + 0.02 * np.cos(i / 3)])  # the head stays in the picture
        write_frame(layout.checkpoint_file(dataset, i), record, i)
        paths = _pictures(dataset, masks, i + 1)
        if i < PICTURES:
            _draw(i, paths)
            continue
        for path, same in zip(paths, _pictures(dataset, masks, i % PICTURES + 1), strict=True):
            os.link(same, path)
    numbers = list(range(1, frames + 1))
    index = {"head_model": head_model, "head_model_digest": digest, "image_size": [SIDE, SIDE], "fps": 25.0}
    index |= {"focal": 1300.0, "images": numbers, "source_frames": numbers, "times": [n / 25 for n in numbers]}
    (dataset / "index.json").write_text(json.dumps(index))
    finish(dataset)
    finish(masks)
    return subject


def _pictures(dataset: Path, masks: Path, n: int) -> list[Path]:
    parts = [layout.parsing_mask(masks, n, part) for part in ("neckhead", "mouth")]
    return [layout.dataset_image(dataset, n), layout.alpha_mask(masks, n), *parts]


def _draw(seed: int, paths: list[Path]) -> None:
    """Colours and soft edges of their own for each picture: image, alpha, and the two masks of 0 and 255."""
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    image, alpha, neckhead, mouth = paths
    phase = np.arange(3) + seed
    colours = 127 + 120 * np.sin(x[..., None] * (3 + seed) + y[..., None] * 5 + phase)
    radius = np.hypot(x, y - seed / 20)
    images.write_jpeg(image, colours.astype(np.uint8))
    images.write_jpeg(alpha, (255 * np.clip((0.8 - radius) * 9, 0, 1)).astype(np.uint8))
    images.write_png(neckhead, np.where(radius < 0.7, 255, 0).astype(np.uint8))
    images.write_png(
        mouth, np.where((np.abs(x) < 0.2) & (np.abs(y - 0.1 * seed / PICTURES) < 0.05), 255, 0).astype("u1")
    )
