"""Which way up a coded frame is and what shape it has then: rotation flags, mirrorings, pixels that are not square.

A video has one shape, since one box cuts the head out of all of it. Frames may come in another: a phone was turned, a
call got more bandwidth. Those that are the same picture at another scale are scaled; the others cannot be used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

SAME = 0.02  # two aspects that differ by less are one: 854 x 480 is 16:9


@dataclass(frozen=True)
class Shape:
    """Of an upright image, square pixels."""

    width: int
    height: int

    def is_like(self, other: "Shape") -> bool:
        """Whether it is the same picture at another scale."""
        return abs(np.log((self.width / self.height) / (other.width / other.height))) < SAME


class Orientation:
    """Which way up the frames of one video are, each by its own flag. pixel: width of a pixel over its height."""

    def __init__(self, pixel: Fraction | int = 1):
        self._pixel = pixel
        self._matrices: dict[int, np.ndarray] = {}

    def shape(self, frame: av.VideoFrame) -> Shape:
        width, height = max(round(frame.width * self._pixel), 1), frame.height
        return Shape(height, width) if is_turned(self.matrix(frame)) else Shape(width, height)

    def matrix(self, frame: av.VideoFrame) -> np.ndarray:
        """Its display matrix, read once for each angle: PyAV's `side_data` and its frame hold each other in memory."""
        if frame.rotation not in self._matrices:
            self._matrices[frame.rotation] = display_matrix(frame)
        return self._matrices[frame.rotation]


def most_used(counts: Mapping[Shape, int]) -> Shape | None:
    """The commonest size of the commonest aspect; of two that are as common the first. None for no shapes."""
    if not counts:
        return None
    aspects = {s: sum(n for other, n in counts.items() if other.is_like(s)) for s in counts}
    return max(counts, key=lambda s: (aspects[s], counts[s]))


def display_matrix(frame: av.VideoFrame) -> np.ndarray:
    """(2,2): where the coded image's x and y axes (y down) point in the upright one; rows are x, y."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            m = np.frombuffer(bytes(data), np.int32).reshape(3, 3) / 65536
            return m[:2, :2]
    return np.eye(2)


def is_turned(matrix: np.ndarray) -> bool:
    """By a quarter, so that width and height change places."""
    return bool(abs(matrix[0, 1]) > abs(matrix[0, 0]))


def turned(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The image as a display matrix (quarter turns and mirrorings) shows it; a view."""
    (a, b), (c, d) = matrix
    if abs(b) > abs(a):
        image = image.swapaxes(0, 1)
        a, d = c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
