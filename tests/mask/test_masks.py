"""Masks of single images: what they hold and what they leave out."""

import cv2
import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.formats.images import LABEL, read_labels, read_rgb, resize, resize_labels, write_png
from stages.mask import HAT_LABEL, HEAD_LABELS, MaskConfig
from stages.mask.audit import inspect
from stages.mask.geometry import HeadProjector
from stages.mask.matting import Guide, alpha_from, quartered, steadied, stillness
from stages.mask.parsing import Colours, below_the_line, mouth_mask, neckhead_mask, solid_mask
from tests.mask.conftest import pose


@pytest.fixture(scope="module")
def view(record):
    return HeadProjector(head_model.load("open"), record.shape).views([record])[0]


def test_view_is_in_pixels_and_upright(view):
    assert view.nose[1] < view.mouth[1] and abs(view.nose[0] - view.mouth[0]) < 25
    assert view.pivot[1] < view.mouth[1] and 800 < view.scale < 2000
    left, right = view.lips[10], view.lips[0]  # the subject's left is right in the image
    assert left[0] > right[0]
    mask = mouth_mask(view)
    ys, xs = np.nonzero(mask)
    assert abs(ys.mean() + 0.5 - view.mouth[1]) < 3 and xs.min() >= right[0] - 1.5 and xs.max() <= left[0] + 1.5
    assert set(np.unique(mask)) == {0, 255}


def test_solid_is_within_the_head_and_without_holes(view):
    solid = solid_mask(view)
    x, y = view.nose.astype(int)
    assert solid[y, x] and 8000 < solid.sum() < 60000
    outlines, _ = cv2.findContours(solid.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    assert len(outlines) == 1


def test_line_of_clothes_is_a_neck_below_the_ears(view):
    depth = below_the_line(view)
    assert depth.shape == (256, 256)
    x, y = (view.pivot / 2).astype(int)
    assert depth[y, x] == pytest.approx(-0.17, abs=0.005)
    assert (np.diff(depth[:, 100]) > 0).all()
    assert depth[y, x] < depth[y, min(x + 100, 255)]  # shoulders are higher


def test_sharpening_brings_a_coarse_mask_to_the_edge_of_the_image():
    image = np.full((512, 512, 3), 40, np.uint8)
    image[:, 205:] = 210
    coarse = np.zeros((256, 256), np.float32)
    coarse[:, 104:] = 1  # 3 pixels off
    coarse = cv2.blur(coarse, (5, 5))
    sharp = Guide(image).sharpen(quartered(coarse))
    assert sharp[100, 200] < 0.25 and sharp[100, 210] > 0.75


def test_neighbours_count_only_where_nothing_moves():
    grey = np.full((256, 256), 100, np.uint8)
    moved = grey.copy()
    moved[:128] = 200
    middle, other = np.zeros((256, 256), np.uint8), np.full((256, 256), 255, np.uint8)
    mean = steadied(middle, [(other, stillness(moved, grey))] * 2)
    assert mean[20, 128] < 0.01 and mean[220, 128] == pytest.approx(0.5, abs=0.01)


def test_solid_head_is_opaque_whatever_the_network_says(view):
    image = np.full((512, 512, 3), 90, np.uint8)
    alpha = alpha_from(np.zeros((256, 256), np.float32), Guide(image), solid_mask(view))
    assert (alpha[solid_mask(view)] == 255).all() and alpha[5, 5] == 0


@pytest.mark.parametrize("cloth", [(20, 20, 24), (210, 60, 40), (235, 235, 240)])
def test_neckhead_ends_at_the_collar_wherever_that_is(view, cloth):
    """A drawn person: skin down to a slanting collar 3 to 5 cm above the line, then clothes of a plain colour."""
    x, y = view.pivot
    image, person = np.full((512, 512, 3), 150, np.uint8), np.zeros((512, 512), np.uint8)
    cv2.ellipse(person, (int(x), int(y)), (110, 150), 0, 0, 360, 255, -1)
    cv2.rectangle(person, (int(x) - 70, int(y)), (int(x) + 70, 511), 255, -1)
    collar = int(y + 0.13 * view.scale)
    cv2.fillPoly(
        person, [np.array([(int(x), collar - 30), (511, collar + 60), (511, 511), (0, 511), (0, collar + 60)])], 255
    )
    rng = np.random.default_rng(0)
    image[person > 0] = (205, 160, 140)
    rows, columns = np.mgrid[:512, :512]
    clothed = (person > 0) & (rows > collar + 0.15 * (columns - x))
    image[clothed] = cloth
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    guide = Guide(image)
    colours = Colours.learn([(guide.small, resize(person, (256, 256)) / np.float32(255), view)])
    mask = neckhead_mask(person, guide, view, colours, solid_mask(view))
    assert (mask[clothed & (rows > collar + 0.15 * (columns - x) + 4)] > 0).mean() < 0.01
    skin = (person > 0) & ~clothed & (rows < collar + 0.15 * (columns - x) - 4)
    inner = cv2.erode(skin.astype(np.uint8), np.ones((9, 9))) > 0
    assert (mask[inner] > 0).mean() > 0.98


def test_without_clothes_in_sight_the_line_decides(view):
    image = np.full((512, 512, 3), 128, np.uint8)
    colours = Colours.learn([(Guide(image).small, np.zeros((256, 256), np.float32), view)])
    assert not colours.table.any()


@pytest.mark.parametrize("name", ["1112", "2095"])
def test_masks_of_real_label_maps(shared_data, name, tmp_path):
    """CelebAMask-HQ's table put on BiSeNet's maps: the mouth at 10 is the nose, and the audit says so."""
    folder = shared_data / "parsing"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    image = resize(read_rgb(folder / f"{name}.jpg"), (512, 512))
    labels = resize_labels(read_labels(folder / f"{name}_labels.png"), (512, 512))
    record = pose(image)
    view = HeadProjector(head_model.load("open"), record.shape).views([record])[0]
    path = tmp_path / "mouth.png"

    def faults(wanted, part, labels=labels):
        write_png(path, np.where(np.isin(labels, sorted(wanted)), 255, 0).astype(np.uint8))
        by_map, by_model = inspect(path, part, view, labels), inspect(path, part, view)
        return set(by_map.faults), set(by_model.faults)

    assert faults({11, 12, 13}, "mouth") == (set(), set())
    assert faults({10}, "mouth") == ({"mouth_on_nose"}, {"mouth_on_nose"})
    assert faults(HEAD_LABELS, "neckhead")[0] == set()
    assert faults(HEAD_LABELS | {16}, "neckhead")[0] == {"neckhead_cloth"}
    assert "neckhead_incomplete" in faults({LABEL["hair"]}, "neckhead")[0]
    drawn = mouth_mask(view) > 0
    lips = np.isin(labels, (11, 12, 13))
    assert (drawn & lips).sum() / (drawn | lips).sum() > 0.5


def test_label_sets():
    config = MaskConfig()
    assert config.mouth_label_set == {11, 12, 13}
    assert config.head_label_set == {*range(1, 16), 17} and LABEL["cloth"] not in config.head_label_set
    assert MaskConfig(hat=True).head_label_set == {*range(1, 16), 17, HAT_LABEL}
