"""Compositing, resolutions, and what is said about a dataset that cannot be used."""

import json
import shutil

import numpy as np
import pytest

from avatarmake.contract import layout
from avatarmake.errors import StageError
from avatarmake.formats import images
from stages.train.dataset import Dataset
from stages.train.losses import HEAD, MOUTH


@pytest.fixture
def own(small, tmp_path):
    """A copy of the small subject that a test may spoil."""
    return tuple(shutil.copytree(folder, tmp_path / folder.name) for folder in small)


def test_composite_is_flashavatar_s(own):
    dataset, masks = own
    image = np.zeros((64, 64, 3), np.uint8) + np.array([200, 100, 40], np.uint8)
    alpha = np.full((64, 64), 128, np.uint8)
    neckhead = np.zeros((64, 64), np.uint8)
    neckhead[:, 32:] = 255
    mouth = np.zeros((64, 64), np.uint8)
    mouth[40:48, 40:48] = 255
    images.write_png(layout.dataset_image(dataset, 1), image)  # a .jpg by name only: no rounding
    images.write_png(layout.alpha_mask(masks, 1), alpha)
    images.write_png(layout.parsing_mask(masks, 1, "neckhead"), neckhead)
    images.write_png(layout.parsing_mask(masks, 1, "mouth"), mouth)
    picture = Dataset(dataset, masks).picture(0, 64)
    a = 128 / 255
    assert (picture.pixels[:, 5, 5] == 255).all()  # outside neckhead: white
    assert np.abs(picture.pixels[:, 5, 40] - (np.array([200, 100, 40]) * a + 255 * (1 - a))).max() <= 0.5
    assert np.abs(picture.over_black()[:, 5, 40] - np.array([200, 100, 40]) * a).max() <= 1
    assert not picture.over_black()[:, 5, 5].any() and not picture.cover[5, 5] and picture.cover[5, 40] == 128
    assert ((picture.labels & HEAD) > 0)[:, 32:].all() and not (picture.labels & HEAD)[:, :32].any()
    assert (picture.labels & MOUTH).sum() == 64
    half = Dataset(dataset, masks).picture(0, 32)
    assert half.pixels.shape == (3, 32, 32) and (half.labels & MOUTH).sum() == 16


def test_no_ground_is_left_in_soft_edges(own):
    """A dark head with a soft outline on a bright ground: over black, what is left of it is its own colour."""
    dataset, masks = own
    x = np.arange(64, dtype=np.float32)
    alpha = np.rint(255 * np.clip((40 - x) / 12, 0, 1)) * np.ones((64, 1))
    head, ground = np.array([60, 40, 30]), np.array([180, 200, 240])
    image = np.rint(ground + alpha[..., None] / 255 * (head - ground)).astype(np.uint8)
    images.write_png(layout.dataset_image(dataset, 1), image)
    images.write_png(layout.alpha_mask(masks, 1), alpha.astype(np.uint8))
    for part in ("neckhead", "mouth"):
        full = np.full((64, 64), 255 if part == "neckhead" else 0, np.uint8)
        images.write_png(layout.parsing_mask(masks, 1, part), full)
    picture = Dataset(dataset, masks).picture(0, 64)
    wanted = (alpha[..., None] / 255 * head).transpose(2, 0, 1)
    rim = np.abs((alpha[..., None] / 255 * image).transpose(2, 0, 1) - wanted).max()  # as FlashAvatar has it
    assert rim > 35 and np.abs(picture.over_black() - wanted).max() < rim / 6


def test_a_mask_of_another_size_is_named(own):
    dataset, masks = own
    images.write_png(layout.parsing_mask(masks, 2, "mouth"), np.zeros((10, 12), np.uint8))
    with pytest.raises(StageError, match="mouth 00002 is 12 x 10, expected 64 x 64"):
        Dataset(dataset, masks).picture(1, 64)


def test_parameters_of_another_head_model_are_refused(own):
    dataset, masks = own
    index = json.loads((dataset / "index.json").read_text())
    (dataset / "index.json").write_text(json.dumps(index | {"head_model_digest": "0" * 64}))
    with pytest.raises(StageError, match="another version of head model"):
        Dataset(dataset, masks, "roman")


def test_pictures_beyond_the_memory_given_are_read_again(small, monkeypatch):
    monkeypatch.setattr("stages.train.dataset.KEEP", 2.5 * 5 * 64 * 64)
    dataset = Dataset(*small)
    kept = [dataset.picture(i, 64) is dataset.picture(i, 64) for i in range(4)]
    assert kept == [True, True, False, False]
    assert np.array_equal(dataset.picture(3, 64).pixels, dataset.picture(3, 64).pixels)
    dataset.forget_pictures(64)
    assert dataset.picture(3, 64) is dataset.picture(3, 64)
