"""Where in an image each kind of thing is likely, told by the tracked head alone: skin, hair, neck, clothes.

The figures are those of people, not of a video: a neck is as wide as the jaw, hair begins within the skull's outline,
clothes begin below the jaw, nearer to the ears at the sides than under the chin. Colours decide the rest, see
colours.py: nothing here is certain but the face.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from stages.mask.geometry import CELL, HeadView
from stages.mask.matting import QUARTER

f4 = np.float32
KINDS = ("skin", "hair", "neck", "cloth")
SKIN, HAIR, NECK, CLOTH = range(4)
AXIS = 0.75  # the neck's lies so far from the chin towards the ears, as it hardly turns with the head
HALF_NECK = 0.08  # metres from it
NECK_END = 0.09  # metres below the chin: the lowest that a neck of a colour of its own goes; skin may go on,
SKIN_END = 0.15  # as far as that, and HALF_CHEST to either side
HALF_CHEST = 0.1
UNDER_THE_CHIN = (-0.02, 0.035)  # metres below it: neck, unless the collar is high
LONG_HAIR = 0.06  # metres below the chin
THICK_HAIR = 0.12  # metres beyond skull and face
COLLAR_SIDE, COLLAR_MIDDLE = -0.05, 0.03  # metres below the chin, from where on clothes are likely


@dataclass(frozen=True)
class Places:
    """Of one image, (128,128) each. `weights` (128,128,4) float32 are not normalised, and none of them is zero."""

    weights: np.ndarray
    face: np.ndarray  # bool: within the outline of the face
    column: np.ndarray  # bool: below the ears, as wide as a chest: what is seen there may be bare
    throat: np.ndarray  # bool: right below the chin


def places(view: HeadView) -> Places:
    step = IMAGE_SIZE // QUARTER
    metre = view.scale / step
    at = np.arange(QUARTER, dtype=np.float32) + np.float32(0.5)
    chin_x, chin_y = view.chin / step
    ears_x, ears_y = view.pivot / step
    low, below_ears = ((at - y)[:, None] / metre for y in (chin_y, ears_y))
    aside = np.abs(at - (AXIS * ears_x + (1 - AXIS) * chin_x))[None, :] / metre
    face = _filled(view.oval / step)
    skull = cv2.resize(view.solid_grid(IMAGE_SIZE // CELL).view(np.uint8), (QUARTER, QUARTER)) > 0
    head = face | skull
    far = cv2.distanceTransform((~head).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3) * np.float32(1 / metre)

    weights = np.empty((QUARTER, QUARTER, len(KINDS)), np.float32)
    chest = 0.4 * _within(aside, HALF_CHEST, 0.01) * _within(low, SKIN_END, 0.02) * _within(-below_ears, 0, 0.01)
    ears = 0.3 * _within(far, 0.03, 0.005) * _within(low, 0, 0.01)
    weights[..., SKIN] = np.maximum(np.maximum(np.where(skull, f4(0.3), f4(0.03)), chest), ears)
    weights[..., HAIR] = np.where(skull, f4(0.7), f4(0.6) * _within(far, THICK_HAIR, 0.02))
    weights[..., HAIR] *= 0.93 * _within(below_ears, 0.03, 0.008) + 0.07 * _within(low, LONG_HAIR, 0.02)
    weights[..., HAIR] += 0.001
    column = _within(aside, HALF_NECK, 0.008) * _within(-below_ears, 0, 0.01)
    weights[..., NECK] = 0.5 * column * _within(low, NECK_END, 0.015) * (far > 0) + 0.003
    line = COLLAR_SIDE + (COLLAR_MIDDLE - COLLAR_SIDE) * _within(aside, HALF_NECK, 0.01)
    weights[..., CLOTH] = _within(line - low, 0, 0.015) * _within(-far, -0.008, 0.004) + 0.001
    weights[head & (low < 0), CLOTH] = 0.001
    weights[face] = (0.9, 0.1, 0.003, 0.001)
    throat = (column > 0.5) & (low > UNDER_THE_CHIN[0]) & (low < UNDER_THE_CHIN[1]) & (far > 0.006)
    return Places(weights, face, (aside < HALF_CHEST) & (below_ears > 0) & (low < 0.1), throat)


def _within(x: np.ndarray, limit: float, blur: float) -> np.ndarray:
    """1 well below the limit, 0 well above it."""
    steep = (x - f4(limit)) * f4(1 / blur)
    return 1 / (1 + np.exp(np.clip(steep, -20, 20, out=steep), out=steep))


def _filled(outline: np.ndarray) -> np.ndarray:
    """(n,2) pixels, centres at +0.5 -> (128,128) bool."""
    mask = np.zeros((QUARTER, QUARTER), np.uint8)
    cv2.fillPoly(mask, [np.round((outline - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return mask > 0
