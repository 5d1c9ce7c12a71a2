"""Images that show nothing new: a frozen or doubled frame, a black one. Told by small grey copies of the images cut."""

from pathlib import Path

import numpy as np

# On a copy of 64 x 64, whose pixels are means of 8 x 8: the most levels of 255 that one is off by, and how many are off
# by more than 1. Measured: 4 and 20 at most on a real video that is frozen and encoded anew; 5 and 34 at least, 12 and
# 75 in all but a hundredth, from image to image of it as it goes on at 25 a second.
STILL, STILL_PIXELS = 4, 24
BLACK, BLACK_MOST = 16, 40  # mean and most of a black image


def small_grey(path: Path) -> np.ndarray:
    """A JPEG at an eighth of its size, (64,64) uint8: decoded that small, which costs a millisecond."""
    from PIL import Image

    with Image.open(path) as image:
        image.draft("L", (image.width // 8, image.height // 8))
        return np.asarray(image.convert("L"))


class Stills:
    """Images one after the other; `repeats` and `black` are their numbers, from 0.

    An image repeats when it is like the first of the still stretch that it is in: slow drifts are no repetition.
    """

    def __init__(self):
        self.repeats: list[int] = []
        self.black: list[int] = []
        self._count, self._first = 0, None

    def see(self, grey: np.ndarray) -> None:
        grey = grey.astype(np.int16)
        if grey.mean() < BLACK and grey.max() < BLACK_MOST:
            self.black.append(self._count)
        elif self._first is not None and _alike(grey, self._first):
            self.repeats.append(self._count)
        else:
            self._first = grey
        self._count += 1


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    off = np.abs(a - b)
    return bool(off.max() <= STILL and (off > 1).sum() <= STILL_PIXELS)
