"""Alpha at the outline, by how far a pixel's colour has come from the ground's to the person's.

    alpha = (|I - B| - n) / (|F - B| - n)

F and B are the colours of the person and of the ground nearby, n is how much the ground itself varies there. On a
mixture of F and B this is matting's equation I = alpha F + (1 - alpha) B; and what resembles neither, a highlight in
hair, an ear before a wall, is not the ground. Where the two look alike, alpha stays what it was. Where the ground's own
picture is known, plate.py, and agrees with what is seen of the ground beside the person, B is that picture's pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from stages.mask.matting import QUARTER, Guide, quartered
from stages.mask.plate import Plate

CERTAIN = 0.05  # alpha within which of 0 and 1 a place lends its colour
STEP = IMAGE_SIZE // QUARTER
ROW = 256  # pixels of the band are looked up in rows of so many
NEAR, AROUND = (5, 5), (15, 15)  # pixels of the quarter-size image: whose colours count, and where these are none
FALLBACK = np.float32(0.02)  # weight of what is around against what is near
NOISE = np.float32(4)  # grey levels that a ground varies by at least
ALIKE, UNLIKE = 3.0, 6.0  # times n: |F - B| from which, and from which alone, colours are believed
EMPTY, FULL = 0.05, 0.8  # shares of the way that are as good as 0 and 1: neither ground nor hair is of one colour
INSIDE = 0.7, 0.95  # alpha, blurred, from which there is less and no doubt that this is the person
BETTER, DOUBTFUL = 0.55, 0.75  # of the n without it: n by the plate up to which it is believed, and from which not


@dataclass(frozen=True)
class Band:
    """The pixels in doubt, in rows of ROW (R,ROW), and what there is to say about them from around."""

    at: np.ndarray  # their numbers in the flat image
    front: np.ndarray  # (R,ROW,3) float32: the person's colour nearby,
    behind: np.ndarray  # the ground's
    noise: np.ndarray  # n
    doubt: np.ndarray  # 0 to 1
    plate: np.ndarray | None  # 0 to 1: how much of `behind` and `noise` is the plate's

    @classmethod
    def of(cls, coarse: np.ndarray, guide: Guide, plate: Plate | None) -> "Band | None":
        """coarse (128,128): alpha. None where nothing is in doubt, or nothing is seen of person or ground."""
        person, ground = (_inner(mask) for mask in (coarse > 1 - CERTAIN, coarse < CERTAIN))
        if not person.any() or not ground.any():
            return None
        image = guide.quarter.astype(np.float32)
        colours = cv2.merge([image, _summed(image * image)])
        front, behind = (_nearby(colours, where) for where in (person, ground))
        behind, square = np.ascontiguousarray(behind[..., :3]), behind[..., 3]
        noise = np.sqrt(np.maximum(square - _summed(behind * behind), 0)) + NOISE
        inside = np.clip((cv2.blur(coarse, NEAR) - INSIDE[0]) / (INSIDE[1] - INSIDE[0]), 0, 1)
        doubt = cv2.blur((1 - cv2.erode(ground, None)) * (1 - inside), (3, 3))
        at = np.flatnonzero(cv2.resize(doubt, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_LINEAR) > 0.01)
        if not len(at):
            return None
        at = np.resize(at, (-(-len(at) // ROW), ROW))  # the last row begins anew: written twice, with one value
        look = _Look(at)
        front, behind = look(np.ascontiguousarray(front[..., :3])), look(behind)
        if plate is None:
            return cls(at, front, behind, *cv2.split(look(cv2.merge([noise, doubt]))), None)
        by_plate = plate.off(guide, ground) + NOISE
        holds = np.clip((DOUBTFUL - by_plate / noise) / (DOUBTFUL - BETTER), 0, 1)
        noise, doubt, by_plate, holds = cv2.split(look(cv2.merge([noise, doubt, by_plate, holds])))
        holds = holds * plate.known.ravel()[at]
        behind += holds[..., None] * (plate.colour.reshape(-1, 3)[at] - behind)
        return cls(at, front, behind, noise + holds * (by_plate - noise), doubt, holds)


def matted(alpha: np.ndarray, guide: Guide, plate: Plate | None = None) -> np.ndarray:
    """(512,512) float32 in 0..1 -> the same, truer within a few pixels of the outline."""
    band = Band.of(quartered(alpha), guide, plate)
    if band is None:
        return alpha
    contrast, apart = (_length(x - band.behind) for x in (band.front, guide.image.reshape(-1, 3)[band.at]))
    believed = band.doubt * np.clip((contrast / band.noise - ALIKE) / (UNLIKE - ALIKE), 0, 1)
    way = np.maximum(contrast - band.noise, 1)
    share = np.clip(((apart - band.noise) / way - EMPTY) / (FULL - EMPTY), 0, 1)
    out, there = alpha.copy(), alpha.ravel()[band.at]
    out.ravel()[band.at] = there + believed * (share - there)
    return out


def explained(alpha: np.ndarray, guide: Guide, plate: Plate) -> float:
    """The share of the pixels in doubt whose ground is the plate's, 0 to 1; 0 where none is in doubt."""
    band = Band.of(quartered(alpha), guide, plate)
    return 0.0 if band is None else float((band.plate * band.doubt).sum() / band.doubt.sum())


class _Look:
    """Looks pixels `at` their numbers of the full-size image up in quarter-size ones, in between their pixels."""

    def __init__(self, at: np.ndarray):
        places = (at % IMAGE_SIZE, at // IMAGE_SIZE)
        self._at = [((x + 0.5) / STEP - 0.5).astype(np.float32) for x in places]

    def __call__(self, layer: np.ndarray) -> np.ndarray:
        return cv2.remap(layer, *self._at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _inner(mask: np.ndarray) -> np.ndarray:
    return cv2.erode(mask.astype(np.float32), np.ones((3, 3), np.uint8))


def _summed(image: np.ndarray) -> np.ndarray:
    """(...,3) -> the sum of the channels."""
    return cv2.transform(image, np.ones((1, 3), np.float32))


def _length(colours: np.ndarray) -> np.ndarray:
    return cv2.sqrt(_summed(colours * colours))


def _nearby(colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean colours (128,128,4) of what lies `where` nearby."""
    parts = colours * where[..., None]
    sums = cv2.blur(parts, NEAR) + FALLBACK * cv2.blur(parts, AROUND)
    weight = cv2.blur(where, NEAR) + FALLBACK * cv2.blur(where, AROUND)
    return sums / np.maximum(weight, np.float32(1e-6))[..., None]
