"""Masks of single images: what they hold and what they leave out."""

import cv2
import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.formats.images import LABEL, read_labels, read_rgb, resize, resize_labels, write_png
from stages.mask import HAT_LABEL, HEAD_LABELS, MaskConfig, framing
from stages.mask.audit import inspect
from stages.mask.colours import LIMIT, Colours
from stages.mask.geometry import HeadProjector
from stages.mask.ground import matted
from stages.mask.matting import Guide, alpha_from, quartered, steadied, stillness
from stages.mask.parsing import mouth_mask, neckhead_mask, solid_mask, solid_share
from stages.mask.places import CLOTH, HAIR, NECK, SKIN, places
from stages.mask.source import MaskSource, Plan
from tests.mask.conftest import pose, write_dataset


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


def test_each_kind_is_likely_where_people_have_it(view):
    where = places(view)
    likely = where.weights.argmax(-1)
    (x, y), metre = view.chin / 4, view.scale / 4
    at = lambda down, aside=0.0: likely[min(int(y + down * metre), 127), int(x + aside * metre)]  # noqa: E731
    assert at(-0.05) == SKIN and at(-0.24) == HAIR and at(0.02) == NECK and at(0.1) == CLOTH
    assert at(0.02, 0.1) == CLOTH and at(0.02, -0.1) == CLOTH  # shoulders are higher
    assert (where.weights > 0).all() and where.face[int(y - 0.05 * metre), int(x)]


def test_sharpening_brings_a_coarse_mask_to_the_edge_of_the_image():
    image = np.full((512, 512, 3), 40, np.uint8)
    image[:, 205:] = 210
    coarse = np.zeros((256, 256), np.float32)
    coarse[:, 104:] = 1  # 3 pixels off
    coarse = cv2.blur(coarse, (5, 5))
    sharp = Guide(image).sharpen(quartered(coarse))
    assert sharp[100, 200] < 0.25 and sharp[100, 210] > 0.75


def test_neighbours_count_only_where_nothing_moves():
    image = np.full((512, 512, 3), 100, np.uint8)
    moved = image.copy()
    moved[:256] = 200
    middle, other = np.zeros((512, 512), np.float32), np.ones((512, 512), np.float32)
    mean = steadied(middle, [(other, stillness(Guide(moved), Guide(image)))] * 2)
    assert mean[40, 256] < 0.01 and mean[440, 256] == pytest.approx(0.5, abs=0.01)


def test_solid_head_is_opaque_whatever_the_network_says(view):
    image = np.full((512, 512, 3), 90, np.uint8)
    alpha = alpha_from(np.zeros((256, 256), np.uint8), Guide(image), solid_share(view))
    inner = cv2.erode(solid_mask(view).view(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert inner.any() and alpha[inner].min() > 0.95 and alpha[5, 5] == 0


def test_dark_hair_on_a_dark_ground_has_no_stairs(view):
    """Where the image has no edge and the network sees nothing, the outline is the head's, and smooth."""
    image = np.full((512, 512, 3), 20, np.uint8)
    guide = Guide(image)
    alpha = matted(alpha_from(np.zeros((256, 256), np.uint8), guide, solid_share(view)), guide)
    outlines, _ = cv2.findContours((alpha > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    rough = max(outlines, key=len)[:, 0].astype(np.float64)
    window = np.hanning(41) / np.hanning(41).sum()
    ring = np.concatenate([rough[-20:], rough, rough[:20]])
    smooth = np.stack([np.convolve(ring[:, i], window, "valid") for i in range(2)], 1)
    assert np.linalg.norm(rough - smooth, axis=1).max() < 2.5  # steps of 8 px are 4 px off and more


def test_outline_is_brought_to_where_the_colour_changes():
    """The network is 5 px off, towards the ground; a strand of hair is as transparent as it is thin."""
    image = np.full((512, 512, 3), (190, 200, 215), np.uint8)
    image[:, 256:] = (60, 45, 40)
    image[100:104, 246:256] = (125, 122, 128)  # half hair, half ground
    mask = np.zeros((256, 256), np.uint8)
    mask[:, 126:] = 255
    mask = cv2.blur(mask, (7, 7))
    guide = Guide(image)
    alpha = matted(alpha_from(mask, guide, np.zeros((128, 128), np.float32)), guide)
    row = alpha[300]
    assert row[254] < 0.1 and row[258] > 0.9
    assert 0.3 < alpha[101:103, 252].mean() < 0.95
    assert alpha[300, 300] == 1 and alpha[300, 200] == 0


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
    guide, where = Guide(image), places(view)
    colours = Colours.learn([(guide.quarter, quartered(person) / np.float32(255), where)])
    mask = neckhead_mask(person, guide, view, colours.head_odds(guide.quarter, where))
    assert (mask[clothed & (rows > collar + 0.15 * (columns - x) + 6)] > 127).mean() < 0.01
    skin = (person > 0) & ~clothed & (rows < collar + 0.15 * (columns - x) - 4)
    inner = cv2.erode(skin.astype(np.uint8), np.ones((9, 9))) > 0
    assert (mask[inner] > 127).mean() > 0.98


def test_without_a_person_in_sight_the_place_decides(view):
    image, where = np.full((128, 128, 3), 128, np.uint8), places(view)
    odds = Colours.learn([(image, np.zeros((128, 128), np.float32), where)]).head_odds(image, where)
    weights = where.weights.sum(-1) - where.weights[..., CLOTH]
    assert np.allclose(odds, np.clip(np.log(weights / where.weights[..., CLOTH]), -LIMIT, LIMIT), atol=1e-3)


def test_a_cap_of_the_shirts_colour_makes_no_shoulder_hair(view):
    """And skin in the neck's shadow is not clothes, though the face has nothing of its brightness."""
    where = places(view)
    image = np.full((128, 128, 3), (200, 160, 140), np.uint8)
    image[where.weights.argmax(-1) == HAIR] = (30, 40, 120)
    image[where.weights.argmax(-1) == CLOTH] = (30, 40, 120)
    image[where.throat] = (130, 100, 85)
    odds = Colours.learn([(image, np.ones((128, 128), np.float32), where)]).head_odds(image, where)
    assert (odds[where.throat] > 0).mean() > 0.95
    shoulders = (where.weights[..., CLOTH] > 0.9) & (image[..., 2] == 120)
    assert (odds[shoulders] < 0).mean() > 0.99
    above = np.arange(128)[:, None] < view.pivot[1] / 4 - 0.05 * view.scale / 4
    assert (odds[(image[..., 2] == 120) & above] > 0).all()


@pytest.mark.parametrize(("name", "least"), [("1112", 0.9), ("2095", 0.93)])
def test_neckhead_agrees_with_label_maps_of_portraits(shared_data, tmp_path, name, least):
    """IoU with the labels of head and neck, a cap apart, and next to no clothes in it."""
    folder = shared_data / "parsing"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    image = resize(read_rgb(folder / f"{name}.jpg"), (512, 512))
    labels = resize_labels(read_labels(folder / f"{name}_labels.png"), (512, 512))
    record = pose(image)
    write_dataset(tmp_path, [image], [record])
    source = MaskSource(Plan(tmp_path, 1, HeadProjector(head_model.load("open"), record.shape)))
    made = source.make(1, source.views([1])[0])
    source.close()
    head = made["neckhead"] * (made["alpha"] / np.float32(255)) > 127
    truth, known = np.isin(labels, sorted(HEAD_LABELS)), labels != HAT_LABEL
    assert (head & truth).sum() / ((head | truth) & known).sum() > least
    assert (head & (labels == LABEL["cloth"])).sum() < 0.01 * head.sum()


def test_what_of_a_crop_is_picture():
    source = {"size": [1000, 600], "box": [-100, 0, 800]}
    assert framing.visible({"source": source}) == (64, 0, 512, 384)
    assert framing.visible({}) == (0, 0, 512, 512)


def test_nothing_is_seen_beyond_the_pictures_edge(tmp_path, images, record):
    """A crop that leaves the frame repeats the frame's edge: no mask may cover it."""
    image = images[0].copy()
    image[:, :60], image[470:] = image[:, 60:61], image[469:470]
    write_dataset(tmp_path, [image], [record])
    visible = (60, 0, 512, 470)
    source = MaskSource(Plan(tmp_path, 1, HeadProjector(head_model.load("open"), record.shape), visible=visible))
    made = source.make(1, source.views([1])[0])
    source.close()
    for part in ("alpha", "neckhead"):
        assert not made[part][470:].any() and not made[part][:, :60].any() and made[part][200, 250] == 255
    assert made["alpha"][460, 250] > 200


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
