"""The ground by itself: what is learnt of it, and what it does for alpha."""

import cv2
import numpy as np
import pytest

from stages.mask.ground import explained, matted
from stages.mask.matting import Guide
from stages.mask.plate import Plate

RADIUS = 110
CENTRES = range(200, 320, 10)  # of somebody who moves sideways


def checked(shift: int = 0) -> np.ndarray:
    """(512,512,3) uint8: a ground of small squares, moved to the right."""
    colours = np.random.default_rng(3).integers(70, 250, (64, 64, 3), np.uint8)
    return np.roll(colours.repeat(8, 0).repeat(8, 1), shift, 1)


def somebody(centre: int, radius: float = RADIUS) -> np.ndarray:
    """(512,512) float32: a round person's alpha."""
    y, x = np.mgrid[:512, :512] + 0.5
    return np.clip(radius - np.hypot(x - centre, y - 256), -0.5, 0.5).astype(np.float32) + 0.5


def filmed(alpha: np.ndarray, ground: np.ndarray) -> np.ndarray:
    return np.rint(ground + alpha[..., None] * (20.0 - ground)).astype(np.uint8)


def seen(alpha: np.ndarray) -> np.ndarray:
    """What a network says of it, (256,256) uint8: coarse."""
    return cv2.convertScaleAbs(cv2.blur(cv2.resize(alpha, (256, 256), interpolation=cv2.INTER_AREA), (5, 5)), alpha=255)


@pytest.fixture(scope="module")
def plate() -> Plate:
    people = [somebody(centre) for centre in CENTRES]
    return Plate.learn([filmed(person, checked()) for person in people], [seen(person) for person in people])


def test_ground_is_known_where_somebody_was_not_always(plate):
    assert not plate.known[256, 256] and plate.known[20, 20] and plate.known[256, 120] and plate.known[256, 395]
    known = plate.known > 0
    wrong = np.abs(plate.colour[known].astype(int) - checked()[known]).max(-1) > 8
    assert wrong.mean() < 0.001


def test_hair_that_never_moves_is_not_the_ground():
    """A rim that the network does not see stays unknown while nobody moves; once somebody does, ground is behind it."""
    still = [filmed(somebody(256, RADIUS + 4), checked())] * 5
    plate = Plate.learn(still, [seen(somebody(256))] * 5)
    rim = (somebody(256, RADIUS + 4) > 0) & (somebody(256) == 0)
    assert not plate.known[rim].any() and plate.known[256, 256 + RADIUS + 16]


def test_alpha_on_a_ground_of_many_colours(plate):
    """A mask that is 5 px too wide is brought to the outline where the ground behind it is known."""
    truth, wide = somebody(250), cv2.blur(somebody(250, RADIUS + 5), (13, 13))
    guide = Guide(filmed(truth, checked()))
    where = (np.abs(truth - wide) > 0.02) & (plate.known > 0)
    off = [np.abs(matted(wide, guide, which) - truth)[where].mean() for which in (None, plate)]
    assert off[1] < 0.5 * off[0] and off[1] < 0.1
    assert explained(wide, guide, plate) > 0.5


def test_a_camera_that_moves_has_no_ground_of_its_own(plate):
    """By half a square, so that half of what is seen agrees by chance: nothing gets worse."""
    truth, wide = somebody(250), cv2.blur(somebody(250, RADIUS + 5), (13, 13))
    guide = Guide(filmed(truth, checked(shift=4)))
    assert explained(wide, guide, plate) < 0.03
    off = [np.abs(matted(wide, guide, which) - truth).mean() for which in (None, plate)]
    assert off[1] < 1.01 * off[0]
