"""Alpha and edges: the 256 x 256 network's opinion, steadied over time and brought onto the edges of the image.

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
        self.small = cv2.resize(image, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
        self.grey = cv2.cvtColor(self.small, cv2.COLOR_RGB2GRAY)
        self._full = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) * np.float32(1 / 255)
        self._quarter = quartered(self.grey) * np.float32(1 / 255)
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


def stillness(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Greys (256,256) uint8 of two images -> float32 in 0..1: 1 where nothing has moved."""
    return cv2.LUT(cv2.blur(cv2.absdiff(a, b), (5, 5)), STILLNESS)


def steadied(mask: np.ndarray, neighbours: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Mask (256,256) uint8, averaged with its neighbours where the image stands still -> float32 in 0..1.

    `neighbours` are masks and their `stillness`. Depends on them alone, not on where a chunk of work begins.
    """
    total = mask.astype(np.float32) * 2
    weight = np.full(total.shape, 2, np.float32)
    for other, still in neighbours:
        total += still * other
        weight += still
    return total / (weight * 255)


def alpha_from(mask: np.ndarray, guide: Guide, solid: np.ndarray) -> np.ndarray:
    """Steadied mask (256,256) -> alpha (512,512) uint8. `solid` (512,512) bool is opaque whatever the network says."""
    mask = quartered(mask)
    # far from the edge the network is sure, and the image's texture has no say
    alpha = guide.sharpen(mask, np.minimum(12 * mask * (1 - mask), np.float32(1)))
    low, high = SURE
    alpha = cv2.addWeighted(alpha, 255 / (high - low), alpha, 0, -255 * low / (high - low), dtype=cv2.CV_8U)  # clips
    return made_solid(alpha, solid)


def made_solid(alpha: np.ndarray, solid: np.ndarray) -> np.ndarray:
    """The same alpha, opaque where the solid head is."""
    alpha |= solid.view(np.uint8) * np.uint8(255)
    return alpha


def quartered(image: np.ndarray) -> np.ndarray:
    """An image or mask of any size -> (128,128), averaged."""
    return cv2.resize(image, (QUARTER, QUARTER), interpolation=cv2.INTER_AREA)
