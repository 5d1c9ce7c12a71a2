"""Alpha at the outline, by how far a pixel's colour has come from the ground's to the person's.

    alpha = (|I - B| - n) / (|F - B| - n)

F and B are the colours of the person and of the ground nearby, n is how much the ground itself varies there. On a
mixture of F and B this is matting's equation I = alpha F + (1 - alpha) B; and what resembles neither, a highlight in
hair, an ear before a wall, is not the ground. Where the two look alike, alpha stays what it was.
"""

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from stages.mask.matting import QUARTER, Guide, quartered

CERTAIN = 0.05  # alpha within which of 0 and 1 a place lends its colour
STEP = IMAGE_SIZE // QUARTER
ROW = 256  # pixels of the band are looked up in rows of so many
NEAR, AROUND = (5, 5), (15, 15)  # pixels of the quarter-size image: whose colours count, and where these are none
FALLBACK = np.float32(0.02)  # weight of what is around against what is near
NOISE = 4.0  # grey levels that a ground varies by at least
ALIKE, UNLIKE = 3.0, 6.0  # times n: |F - B| from which, and from which alone, colours are believed
EMPTY, FULL = 0.05, 0.65  # shares of the way that are as good as 0 and 1: neither ground nor hair is of one colour
INSIDE = 0.7, 0.95  # alpha, blurred, from which there is less and no doubt that this is the person


def matted(alpha: np.ndarray, guide: Guide) -> np.ndarray:
    """(512,512) float32 in 0..1 -> the same, truer within a few pixels of the outline."""
    coarse = quartered(alpha)
    image = guide.quarter.astype(np.float32)
    colours = cv2.merge([image, _summed(image * image)])
    person, ground = (_inner(mask) for mask in (coarse > 1 - CERTAIN, coarse < CERTAIN))
    if not person.any() or not ground.any():
        return alpha
    front, behind = (_nearby(colours, where) for where in (person, ground))
    front, behind, square = front[..., :3], np.ascontiguousarray(behind[..., :3]), behind[..., 3]
    noise = np.sqrt(np.maximum(square - _summed(behind * behind), 0)) + np.float32(NOISE)
    contrast = np.sqrt(_summed((front - behind) ** 2))
    believed = np.clip((contrast / noise - ALIKE) / (UNLIKE - ALIKE), 0, 1)
    believed *= 1 - cv2.erode(ground, None)
    believed *= 1 - np.clip((cv2.blur(coarse, NEAR) - INSIDE[0]) / (INSIDE[1] - INSIDE[0]), 0, 1)
    scale = 1 / np.maximum((FULL - EMPTY) * (contrast - noise), 1)
    offset = (noise + EMPTY * (contrast - noise)) * scale
    believed = cv2.blur(believed, (3, 3))
    size = alpha.shape[::-1]
    band = np.flatnonzero(cv2.resize(believed, size, interpolation=cv2.INTER_LINEAR) > 0.01)
    if not len(band):
        return alpha
    band = np.resize(band, (-(-len(band) // ROW), ROW))  # the last row begins anew: written twice, with one value
    at = [((x + 0.5) / STEP - 0.5).astype(np.float32) for x in (band % size[0], band // size[0])]
    behind = cv2.remap(behind, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    layers = cv2.merge([scale, offset, believed])
    scale, offset, believed = cv2.split(cv2.remap(layers, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    apart = guide.image.reshape(-1, 3)[band] - behind
    share = cv2.sqrt(_summed(apart * apart)) * scale - offset
    out = alpha.copy()
    there = alpha.ravel()[band]
    out.ravel()[band] = there + believed * (np.clip(share, 0, 1, out=share) - there)
    return out


def _inner(mask: np.ndarray) -> np.ndarray:
    return cv2.erode(mask.astype(np.float32), np.ones((3, 3), np.uint8))


def _summed(image: np.ndarray) -> np.ndarray:
    """(...,3) -> the sum of the channels."""
    return cv2.transform(image, np.ones((1, 3), np.float32))


def _nearby(colours: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Mean colours (128,128,4) of what lies `where` nearby."""
    parts = colours * where[..., None]
    sums = cv2.blur(parts, NEAR) + FALLBACK * cv2.blur(parts, AROUND)
    weight = cv2.blur(where, NEAR) + FALLBACK * cv2.blur(where, AROUND)
    return sums / np.maximum(weight, np.float32(1e-6))[..., None]
