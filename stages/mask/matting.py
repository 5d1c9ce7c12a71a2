"""Alpha and edges: the 256 x 256 network's opinion, brought onto the edges of the image and steadied over time.

The guided filter (He, Sun, Tang: "Guided Image Filtering", ECCV 2010; the fast form of 2015) takes its coefficients
from a quarter-size image, which is a sixteenth of the work.
"""

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE

SMALL = IMAGE_SIZE // 2  # what the network sees
QUARTER = IMAGE_SIZE // 4
WINDOW = (5, 5)  # pixels of the quarter-size image
EDGE = 2e-4  # variance of brightness (0..1) from which a place counts as an edge
SURE = (0.1, 0.9)  # below and above, the network means 0 and 1
STILL = 12.0  # difference of grey levels up to which a place stands still from one image to the next
STILLNESS = np.exp(-((np.arange(256, dtype=np.float32) / STILL) ** 2))  # by difference: weight of a neighbour


class Guide:
    """An image to whose edges masks are brought: build once, apply to several."""

    def __init__(self, image: np.ndarray):
        """(512,512,3) uint8 RGB."""
        self.image = image
        self.small = cv2.resize(image, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
        self._full = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * np.float32(1 / 255)
        self.quarter = quartered(self.small)
        self.quarter_grey = cv2.cvtColor(self.quarter, cv2.COLOR_RGB2GRAY)
        self._quarter = self.quarter_grey * np.float32(1 / 255)
        self._mean = cv2.blur(self._quarter, WINDOW)
        variance = cv2.blur(self._quarter * self._quarter, WINDOW) - self._mean * self._mean
        self._precision = 1 / (variance + np.float32(EDGE))

    def sharpen(self, mask: np.ndarray, trust: np.ndarray | None = None) -> np.ndarray:
        """(128,128) float32 in 0..1 -> (512,512) float32, its edges where the image has some.

        `trust` (128,128) says how much the image has a say; where it is 0 the mask stays as it is.
        """
        mean = cv2.blur(mask, WINDOW)
        a = (cv2.blur(self._quarter * mask, WINDOW) - self._mean * mean) * self._precision
        b = mean - a * self._mean
        a, b = cv2.blur(a, WINDOW), cv2.blur(b, WINDOW)
        if trust is not None:
            a *= trust
            b = mask + trust * (b - mask)
        a, b = (cv2.resize(x, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_LINEAR) for x in (a, b))
        a *= self._full
        a += b
        return a


def stillness(a: "Guide", b: "Guide") -> np.ndarray:
    """Two images -> (128,128) float32 in 0..1: 1 where nothing has moved."""
    return cv2.LUT(cv2.blur(cv2.absdiff(a.quarter_grey, b.quarter_grey), (3, 3)), STILLNESS)


def steadied(mask: np.ndarray, neighbours: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Mask (float32, of any size), averaged with its neighbours where the image stands still.

    `neighbours` are masks and their `stillness`. Depends on them alone, not on where a chunk of work begins.
    """
    total, weight = mask * np.float32(2), np.full(mask.shape, 2, np.float32)
    for other, still in neighbours:
        still = cv2.resize(still, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        weight += still
        total += np.multiply(still, other, out=still)
    return np.divide(total, weight, out=total)


def alpha_from(mask: np.ndarray, guide: Guide, solid: np.ndarray) -> np.ndarray:
    """The network's mask (256,256) uint8 -> alpha (512,512) float32 in 0..1.

    `solid` (128,128) in 0..1 is the person whatever the network says.
    """
    mask = np.maximum(quartered(mask) * np.float32(1 / 255), solid)
    # far from the edge the network is sure, and the image's texture has no say
    alpha = guide.sharpen(mask, np.minimum(12 * mask * (1 - mask), np.float32(1)))
    low, high = SURE
    alpha *= np.float32(1 / (high - low))
    alpha -= np.float32(low / (high - low))
    return np.clip(alpha, 0, 1, out=alpha)


def quartered(image: np.ndarray) -> np.ndarray:
    """An image or mask of any size -> (128,128), averaged."""
    return cv2.resize(image, (QUARTER, QUARTER), interpolation=cv2.INTER_AREA)
