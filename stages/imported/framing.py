"""One square of the source's pictures for the whole video, such that FlashAvatar's camera is exactly theirs.

FlashAvatar knows one focal length and the image's centre. metrical-tracker optimises a principal point, VHAP's cameras
have theirs where the lens is: the square is laid around it, and what of it lies outside the picture repeats the edge.
Where width and height of a pixel differ, so do the square's sides. Nothing of the camera is rounded: the picture is
resampled at fractions of a pixel where it must be, and left as it is where it need not.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import StageError
from avatarmake.formats import images
from avatarmake.geometry import cameras

SAME = 1e-3  # px: convert's own limit
FARTHEST = 0.25  # of the picture's side, that a principal point may be from its centre


@dataclass(frozen=True)
class Framing:
    """The square: left, top, width, height in pixels of a picture of `size` (w, h)."""

    size: tuple[int, int]
    left: float
    top: float
    width: float
    height: float

    @classmethod
    def around(cls, k: np.ndarray, size: tuple[int, int], where: str) -> "Framing":
        """All of the picture, the principal point in the middle. k (3,3) in its pixels. Raises StageError."""
        (fx, _, cx), (_, fy, cy), _ = np.asarray(k, np.float64)
        w, h = size
        off = max(abs(cx - w / 2) / w, abs(cy - h / 2) / h)
        if off > FARTHEST:
            what = f"its principal point is ({cx:.1f}, {cy:.1f}) of {w} x {h}: {off:.0%} of a side from the centre"
            raise StageError(what, where, "No crop can mend that: its K is of another size, or another picture")
        aspect = 1.0 if abs(fx - fy) <= SAME else fy / fx
        cx, cy = (half if abs(c - half) <= SAME else c for c, half in ((cx, w / 2), (cy, h / 2)))
        width = max(w, h / aspect)
        return cls(size, cx - width / 2, cy - width * aspect / 2, width, width * aspect)

    @property
    def as_it_is(self) -> bool:
        """Whether the pictures need no change."""
        box = (self.left, self.top, self.width, self.height)
        return self.size == (IMAGE_SIZE, IMAGE_SIZE) and box == (0, 0, IMAGE_SIZE, IMAGE_SIZE)

    def intrinsics(self, k: np.ndarray) -> np.ndarray:
        """(3,3) of the 512 x 512 image; k itself where nothing changes."""
        if self.as_it_is:
            return k
        focal = float(k[0, 0]) * IMAGE_SIZE / self.width
        return cameras.intrinsics_from_focal(focal, (IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """(H,W) or (H,W,3) uint8 -> the same of 512 x 512."""
        from PIL import Image

        x0, y0 = floor(self.left), floor(self.top)
        x1, y1 = ceil(self.left + self.width), ceil(self.top + self.height)
        part = Image.fromarray(np.ascontiguousarray(images.crop(picture, x0, y0, x1 - x0, y1 - y0)))
        left, top = self.left - x0, self.top - y0
        box = (left, top, left + self.width, top + self.height)
        return np.asarray(part.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.LANCZOS, box=box))

    def described(self) -> dict:
        """`source` of index.json: size and box, in whole pixels."""
        return {"size": list(self.size), "box": [round(self.left), round(self.top), round(self.width)]}

    def note(self) -> str:
        """What is said of it, or ""."""
        w, h = self.size
        x, y = self.left + self.width / 2 - w / 2, self.top + self.height / 2 - h / 2
        words = []
        if (w, h) != (IMAGE_SIZE, IMAGE_SIZE):
            words.append(f"pictures of {w} x {h} become {IMAGE_SIZE} x {IMAGE_SIZE}")
        if max(abs(x), abs(y)) > SAME:
            words.append(
                f"the principal point is ({x:+.2f}, {y:+.2f}) px from the centre, which FlashAvatar cannot say: the "
                "pictures are moved by so much"
            )
        if self.width != self.height:
            words.append(f"pixels are {self.height / self.width:.3f} times as high as wide: made square")
        return "; ".join(words)
