"""A frame's picture over white, as FlashAvatar has it but for soft edges, reduced to the training resolution."""

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE, STRICT, f4
from stages.train import foreground
from stages.train.losses import HEAD, MOUTH

SOME, ALL = f4(0.5 / 255), f4(254.5 / 255)  # cover that is neither none nor all of an 8-bit mask


def composite(image, alpha, neckhead, mouth, side):
    """(H,H,3) and three masks (H,H), all uint8 -> pixels (3,side,side), cover, labels (side,side), uint8.

    picture = F cover + white (1 - cover), cover = alpha neckhead, F the image where cover is 1 and the person's own
    colour where it is less; then the mean over blocks of pixels, H being a whole multiple of side. A label is set
    where its mask covers more than half of the block.
    """
    cover = alpha * neckhead.astype(np.float32) * f4(1 / 255**2)
    return _composite(image, cover, foreground.nearby(image, cover), mouth, side)


@nb.njit(fastmath=STRICT, nogil=True, cache=CACHE)
def _composite(image, covers, means, mouth, side):
    pixels, cover_of = np.empty((3, side, side), np.uint8), np.empty((side, side), np.uint8)
    labels = np.zeros((side, side), np.uint8)
    k = image.shape[0] // side
    area = f4(k * k)
    for v in range(side):
        for u in range(side):
            red, green, blue, covered, in_mouth = f4(0), f4(0), f4(0), f4(0), f4(0)
            for y in range(v * k, v * k + k):
                for x in range(u * k, u * k + k):
                    cover = covers[y, x]
                    white = f4(255) * (f4(1) - cover)
                    r, g, b = f4(image[y, x, 0]), f4(image[y, x, 1]), f4(image[y, x, 2])
                    if SOME < cover < ALL:
                        r, g, b = (
                            foreground.colour(r, cover, y, x, 0, means),
                            foreground.colour(g, cover, y, x, 1, means),
                            foreground.colour(b, cover, y, x, 2, means),
                        )
                    red += cover * r + white
                    green += cover * g + white
                    blue += cover * b + white
                    covered += cover
                    in_mouth += f4(mouth[y, x])
            pixels[0, v, u] = np.uint8(red / area + f4(0.5))
            pixels[1, v, u] = np.uint8(green / area + f4(0.5))
            pixels[2, v, u] = np.uint8(blue / area + f4(0.5))
            cover_of[v, u] = np.uint8(f4(255) * covered / area + f4(0.5))
            labels[v, u] = MOUTH * (in_mouth > f4(127.5) * area) + HEAD * (covered > f4(0.5) * area)
    return pixels, cover_of, labels
