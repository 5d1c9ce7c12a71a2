"""Pictures of local contrast: what is followed on the skin, whatever the light.

A band of detail (a difference of Gaussians) over how much detail there is around: shading, exposure and the camera's
own colours go, pores, brows, lids and lips stay, at about the same height everywhere.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SURROUND = 5.0  # sigmas of the wider Gaussian, in those of the narrower
AROUND = 8.0  # likewise, of where the detail is measured
FLOOR = 6.0  # grey levels of detail that count as none: noise is not to be blown up
MARGIN = 0.2  # of the face's height beyond its landmarks


@dataclass(frozen=True, eq=False)
class Patch:
    """The face's part of an image: grey (h,w) and its corner (x, y) in it, px."""

    grey: np.ndarray
    corner: np.ndarray


def patch(image: np.ndarray, landmarks: np.ndarray) -> Patch:
    """image (H,W,3) RGB, landmarks (L,2) px of its face."""
    low, high = landmarks.min(0), landmarks.max(0)
    size = np.array(image.shape[1::-1])
    margin = MARGIN * max(high - low)
    first = np.clip(np.floor(low - margin), 0, size - 16).astype(int)
    last = np.clip(np.ceil(high + margin), first + 16, size).astype(int)
    grey = cv2.cvtColor(np.ascontiguousarray(image[first[1] : last[1], first[0] : last[0]]), cv2.COLOR_RGB2GRAY)
    return Patch(grey, first)


def local_contrast(grey: np.ndarray, sigma: float) -> np.ndarray:
    """(h,w) uint8 -> (h,w) float32 of detail about `sigma` px wide, mostly within -2...2."""
    image = grey.astype(np.float32)
    detail = cv2.GaussianBlur(image, (0, 0), sigma) - broad(image, SURROUND * sigma)
    return detail / (np.sqrt(broad(detail * detail, AROUND * sigma)) + np.float32(FLOOR))


def broad(image: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur by way of a smaller image: a wide one costs no more than a narrow one."""
    scale = max(int(sigma / 2), 1)
    small = cv2.resize(image, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / scale)
    return cv2.resize(blurred, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def sample(contrast: np.ndarray, corner: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """contrast (h,w) of a patch at uv (S,2) px of the whole image -> values (S,) and their gradients (S,2) per px."""
    x, y = (uv - corner - np.float32(0.5)).astype(np.float32).T
    steps = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    at = cv2.remap(contrast, x + steps[:, :1], y + steps[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return at[0], np.stack([at[1] - at[2], at[3] - at[4]], -1) / 2
