"""Neckhead and mouth from the tracked head model, without a parsing network.

Neckhead is the person above the clothes. Where the clothes begin is told by the place (a collar lies about 17 cm below
the ears, shoulders higher and to the sides, whatever the head does) and by the colours of this video: what is above
that line, what is below. Hair counts by being above; the background around the head is left to alpha.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from stages.mask.geometry import CELL, HeadView
from stages.mask.matting import QUARTER, SMALL, Guide, quartered

COLLAR = 0.17  # metres below the ears' height, straight down in the image: where cloth begins in the middle
NECK = 0.05  # metres: half of a neck; beyond it the line rises towards the shoulders,
SLOPE = 0.5  # by this much a metre sideways
BLUR = 0.03  # metres: how sharp the line is (one unit of log-odds)
SURE = 0.03  # metres from the line beyond which colours are learnt
BAND = 0.12  # metres above the line from which the head's colours are learnt: neck, jaw, long hair
END = 0.09  # metres below the line where even bare skin is no longer neck
BINS = 32  # of each colour channel
ROUNDS = 3  # of learning the colours
RARE = 2e-5  # share of a colour too small to say anything
COLOUR_LIMIT = 4.0  # log-odds that a colour alone can give: hair at the nape may look like a dark shirt
ISOLATED = cv2.BORDER_REFLECT_101 | cv2.BORDER_ISOLATED  # mirrored at the edge of what is given
PERSON = 10  # alpha from which a pixel may be head: soft edges of hair are alpha's business


def below_the_line(view: HeadView, size: int = SMALL) -> np.ndarray:
    """(size, size) float32: how far each pixel lies below the line where clothes begin, in metres."""
    step = IMAGE_SIZE / size
    at = (np.arange(size, dtype=np.float32) + 0.5) * step
    down = (at - view.pivot[1]) / view.scale
    aside = np.abs(at - view.pivot[0]) / view.scale
    return down[:, None] - (COLLAR - SLOPE * np.clip(aside - NECK, 0, 0.12))[None, :]


def solid_mask(view: HeadView) -> np.ndarray:
    """(512,512) bool: where there is head for sure, a cell and more within the model's outline."""
    grid = view.solid_grid(IMAGE_SIZE // CELL).astype(np.uint8)
    grid = cv2.erode(grid * 255, np.ones((3, 3), np.uint8), borderValue=255)
    return cv2.resize(grid, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_LINEAR) > 250


@dataclass
class Colours:
    """Log-odds of cloth against neck and hair for every colour of this video."""

    table: np.ndarray  # (BINS**3,) float32

    @classmethod
    def learn(cls, samples: list[tuple[np.ndarray, np.ndarray, HeadView]]) -> "Colours":
        """From images (256,256,3), their person masks (256,256) 0..1 and views, spread over the video."""
        colours, places = [], []
        for image, person, view in samples:
            depth = below_the_line(view)
            near = (person > 0.9) & (depth > -BAND)
            colours.append(_bins(image)[near])
            places.append(depth[near])
        colour, depth = np.concatenate(colours), np.concatenate(places)
        cloth, head = depth > SURE, depth < -SURE
        table = np.zeros(BINS**3, np.float32)
        for _ in range(ROUNDS):
            if not cloth.any() or not head.any():  # a tight crop shows no clothes: the line alone decides
                return cls(np.zeros(BINS**3, np.float32))
            shares = [np.bincount(colour[kind], minlength=BINS**3) / kind.sum() for kind in (head, cloth)]
            of_head, of_cloth = (_smooth(share) + RARE for share in shares)
            table = np.log(of_cloth / of_head).clip(-COLOUR_LIMIT, COLOUR_LIMIT).astype(np.float32)
            # what lies on the wrong side of the line by its colour (a high collar, a low neckline) changes sides
            odds = depth / BLUR + table[colour]
            cloth, head = odds > 1, odds < -1
        return cls(table)

    def log_odds(self, image: np.ndarray) -> np.ndarray:
        """(h,w,3) uint8 -> (h,w) float32, positive for cloth."""
        return self.table[_bins(image)]


def neckhead_mask(alpha: np.ndarray, guide: Guide, view: HeadView, colours: Colours, solid: np.ndarray) -> np.ndarray:
    """-> (512,512) uint8, 0 or 255: one piece without holes."""
    depth = below_the_line(view, QUARTER)
    odds = depth * np.float32(1 / BLUR)
    odds += colours.log_odds(quartered(guide.small))
    np.copyto(odds, 8, where=depth > END)
    cloth = 1 / (1 + cv2.exp(-np.clip(odds, -8, 8, out=odds)))
    head = guide.sharpen(cloth) < 0.5
    head &= alpha >= PERSON
    head |= solid
    return _one_piece(head.view(np.uint8))


def _one_piece(head: np.ndarray) -> np.ndarray:
    """(512,512) of 0 and 1 -> its largest piece, smoothed, holes filled, 0 or 255."""
    whole = np.zeros_like(head)
    x, y, w, h = cv2.boundingRect(head)
    if w == 0:
        return whole
    # with a margin of what the smoothing reaches, less of the image is worked on, with the same result
    part = slice(max(y - 4, 0), y + h + 4), slice(max(x - 4, 0), x + w + 4)
    count = cv2.boxFilter(head[part], cv2.CV_8U, (7, 7), normalize=False, borderType=ISOLATED)
    smooth = cv2.threshold(count, 7 * 7 // 2, 255, cv2.THRESH_BINARY)[1]  # as most around it are
    outlines, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if outlines:
        cv2.drawContours(whole[part], [max(outlines, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return whole


def mouth_mask(view: HeadView) -> np.ndarray:
    """-> (512,512) uint8, 0 or 255: within the outer edge of the lips, open mouth included."""
    mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    fixed = np.round((view.lips - 0.5) * 16).astype(np.int32)  # cv2 has pixel centres at whole numbers
    cv2.fillPoly(mask, [fixed], 255, shift=4)
    return mask


def _bins(image: np.ndarray) -> np.ndarray:
    r, g, b = (channel.astype(np.uint16) for channel in cv2.split(image >> 3))
    return (r << 10) | (g << 5) | b


def _smooth(histogram: np.ndarray) -> np.ndarray:
    """Spread each colour over its neighbours: three passes of 1/4 1/2 1/4 along each channel."""
    h = histogram.reshape(BINS, BINS, BINS)
    for axis in (0, 1, 2) * 3:
        padded = np.pad(h, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        before, after = (np.take(padded, range(i, i + BINS), axis) for i in (0, 2))
        h = before / 4 + h / 2 + after / 4
    return h.ravel()
