"""What of the video a picture shows: the crop that all images of a subject are, or the whole frame."""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.formats.images import crop

SAME = 0.02  # by which the proportions of a picture and of what it shows may differ: sizes are whole numbers


@dataclass(frozen=True)
class Source:
    """The video that the crops were cut of: upright size, and the box (x, y, side) in its pixels."""

    size: tuple[int, int]  # w, h
    box: tuple[int, int, int]

    @classmethod
    def of(cls, index: dict) -> "Source | None":
        """As the dataset's index.json tells it, None where it does not."""
        source = index.get("source")
        return cls(tuple(source["size"]), tuple(source["box"])) if source else None

    def shows(self, width: int, height: int) -> bool:
        """Whether an image of this size has the whole frame's proportions, and not the crop's."""
        w, h = self.size
        return abs(width * h / (height * w) - 1) < SAME and not is_square(w, h)

    def cut(self, whole: np.ndarray) -> np.ndarray:
        """The crop out of an image (or map) of the whole frame, at that image's own resolution."""
        scale = whole.shape[1] / self.size[0], whole.shape[0] / self.size[1]
        x, y, w, h = (round(v * s) for v, s in zip((*self.box[:2], self.box[2], self.box[2]), scale * 2, strict=True))
        return crop(whole, x, y, max(w, 1), max(h, 1))


def visible(index: dict) -> tuple[int, int, int, int]:
    """What of the images is picture: x0, y0, x1, y1 in their pixels. Beyond, where the crop left the frame, they
    repeat its edge. All of them, where index.json does not tell."""
    source = Source.of(index)
    if source is None:
        return 0, 0, IMAGE_SIZE, IMAGE_SIZE
    x, y, side = source.box
    low = (ceil(max(-at, 0) * IMAGE_SIZE / side) for at in (x, y))
    high = (floor(min(size - at, side) * IMAGE_SIZE / side) for size, at in zip(source.size, (x, y), strict=True))
    return *low, *high


def is_square(width: int, height: int) -> bool:
    return abs(width / height - 1) < SAME
