"""A drawn image as 8-bit pixels, in one pass over it."""

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE, STRICT, f4


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def opaque(image):
    """(4,H,W), RGB over a background and alpha -> (H,W,3) uint8."""
    _, height, width = image.shape
    out = np.empty((height, width, 3), np.uint8)
    for y in nb.prange(height):
        for x in range(width):
            for c in range(3):
                out[y, x, c] = np.uint8(np.rint(min(max(image[c, y, x], f4(0)), f4(1)) * f4(255)))
    return out


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def transparent(image):
    """(4,H,W), RGB over black and alpha -> (H,W,4) uint8, the colour not multiplied by alpha."""
    _, height, width = image.shape
    out = np.zeros((height, width, 4), np.uint8)
    for y in nb.prange(height):
        for x in range(width):
            alpha = min(max(image[3, y, x], f4(0)), f4(1))
            out[y, x, 3] = np.uint8(np.rint(alpha * f4(255)))
            if out[y, x, 3] > 0:
                for c in range(3):
                    colour = min(max(image[c, y, x] / alpha, f4(0)), f4(1))
                    out[y, x, c] = np.uint8(np.rint(colour * f4(255)))
    return out
