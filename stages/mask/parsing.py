"""Neckhead and mouth from the tracked head model, without a parsing network.

Neckhead is the person without the clothes: places.py says what is likely where, colours.py what colours it has in this
video. The background around the head is left to alpha.
"""

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from stages.mask.geometry import CELL, HeadView
from stages.mask.matting import QUARTER, Guide

COLLAR = 0.17  # metres below the ears' height, straight down in the image: where cloth begins in the middle
END = 0.09  # metres below it where even bare skin is no longer neck,
END_BLUR = 0.04  # fading over so many
STEEP = 1.5  # how fast log-odds of the colours become certainty
SOFT = 0.2  # below, and above 1 less that, the colours mean 0 and 1
PERSON = 10  # alpha from which a pixel may be head: soft edges of hair are alpha's business
ROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
EDGE = np.ones((9, 9), np.uint8)


def solid_mask(view: HeadView) -> np.ndarray:
    """(512,512) bool: where there is head for sure, a cell and more within the model's outline."""
    grid = cv2.erode(_solid_grid(view), np.ones((3, 3), np.uint8), borderValue=255)
    return cv2.resize(grid, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_LINEAR) > 250


def solid_share(view: HeadView) -> np.ndarray:
    """(128,128) float32 in 0..1: the same place, with an outline that shows nothing of the grid."""
    grid = cv2.blur(cv2.erode(_solid_grid(view), np.ones((3, 3), np.uint8), borderValue=255), (3, 3))
    return cv2.resize(grid, (QUARTER, QUARTER), interpolation=cv2.INTER_LINEAR) * np.float32(1 / 255)


def _solid_grid(view: HeadView) -> np.ndarray:
    return view.solid_grid(IMAGE_SIZE // CELL).view(np.uint8) * np.uint8(255)


def neckhead_mask(alpha: np.ndarray, guide: Guide, view: HeadView, odds: np.ndarray) -> np.ndarray:
    """alpha (512,512) uint8, log-odds (128,128) of head against clothes -> (512,512) uint8.

    One piece without holes, 255 within. Its lower end is soft, as wide as the image shows it.
    """
    head = guide.sharpen(1 / (1 + cv2.exp(odds * np.float32(-STEEP))))
    head = np.minimum(head * np.float32(1 / (1 - 2 * SOFT)) - np.float32(SOFT / (1 - 2 * SOFT)), _above_the_end(view))
    head = cv2.convertScaleAbs(np.clip(head, 0, 1, out=head), alpha=255)
    head[alpha < PERSON] = 0
    return _one_piece(head)


def _above_the_end(view: HeadView) -> np.ndarray:
    """(512,1) float32, 1 to 0: where even bare skin is no longer neck; as soft as nobody would see it move."""
    at = np.arange(IMAGE_SIZE, dtype=np.float32)[:, None] + np.float32(0.5)
    below = (at - view.pivot[1]) / view.scale - (COLLAR + END)
    return 0.5 - np.clip(below / END_BLUR, -0.5, 0.5)


def _one_piece(head: np.ndarray) -> np.ndarray:
    """(512,512) 0..255 -> what belongs to its largest piece, with the holes filled."""
    solid = cv2.threshold(head, 127, 255, cv2.THRESH_BINARY)[1]
    x, y, w, h = cv2.boundingRect(solid)
    whole = np.zeros_like(head)
    if w == 0:
        return whole
    # with a margin of what the smoothing reaches, less of the image is worked on, with the same result
    part = slice(max(y - 8, 0), y + h + 8), slice(max(x - 8, 0), x + w + 8)
    # opened: no threads and tails
    smooth = cv2.morphologyEx(solid[part], cv2.MORPH_OPEN, ROUND, borderType=cv2.BORDER_REPLICATE)
    outlines, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if outlines:
        piece = np.zeros_like(smooth)
        cv2.drawContours(piece, [max(outlines, key=cv2.contourArea)], -1, 255, cv2.FILLED)
        inside = cv2.erode(piece, EDGE, borderType=cv2.BORDER_REPLICATE)
        around = cv2.dilate(piece, EDGE, borderType=cv2.BORDER_REPLICATE)
        whole[part] = (head[part] & around) | inside
    return whole


def mouth_mask(view: HeadView) -> np.ndarray:
    """-> (512,512) uint8, 0 or 255: within the outer edge of the lips, open mouth included."""
    mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    fixed = np.round((view.lips - 0.5) * 16).astype(np.int32)  # cv2 has pixel centres at whole numbers
    cv2.fillPoly(mask, [fixed], 255, shift=4)
    return mask
