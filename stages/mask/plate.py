"""The ground by itself, where the camera stands still: what a pixel shows whenever nobody is before it.

That is the median of the images, spread over the video, in which the network sees nobody there: from far enough away
where there are such images, else from nearer, but only where somebody has been as well, for what is beside a head in
every image may be its hair. Whether all this holds is decided in every image anew: a plate that does not agree with
what is seen of the ground beside the person, because the camera has moved or the light has changed, is not believed.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from stages.mask.matting import Guide, quartered

SEEN = 3  # images in which a pixel must have been the ground
NOBODY, SOMEBODY = 40, 100  # of 255, of the network's mask: up to where there is no person, and from where there is
MARGINS = (4, 2, 1, 0)  # pixels of the network's around which there must be nobody either: the first that SEEN allow
AROUND = (11, 11)  # pixels of the quarter-size image, in which the ground is held against the plate
ENOUGH = 0.03  # of these that must be known ground
UNKNOWN = np.float32(1e3)


@dataclass(frozen=True)
class Plate:
    """colour (512,512,3) uint8; known (512,512) float32, 0 or 1."""

    colour: np.ndarray
    known: np.ndarray

    @classmethod
    def learn(cls, images: list[np.ndarray], masks: list[np.ndarray]) -> "Plate":
        """Images (512,512,3) uint8 and the network's masks (256,256) uint8 of them."""
        colour, known = np.zeros_like(images[0]), np.zeros(images[0].shape[:2], bool)
        swept = _doubled(np.max(masks, 0) > SOMEBODY)
        for margin in MARGINS:
            free = np.stack([_doubled(_reaching(mask, margin) <= NOBODY) for mask in masks])
            new = (free.sum(0) >= SEEN) & ~known & (swept | (margin == MARGINS[0]))
            colour[new] = _median(np.stack([image[new] for image in images]), free[:, new])
            known |= new
        return cls(colour, known.astype(np.float32))

    def off(self, guide: Guide, ground: np.ndarray) -> np.ndarray:
        """How far it is, in grey levels (128,128), from the ground nearby; far where no ground can tell.

        ground (128,128) float32, 0 or 1: what is ground for sure in that image.
        """
        apart = cv2.absdiff(guide.image, self.colour)
        square = quartered(cv2.transform(np.square(apart, dtype=np.float32), np.ones((1, 3), np.float32)))
        where = ground * (quartered(self.known) > 0.99)
        weight = cv2.blur(where, AROUND)
        mean = cv2.blur(square * where, AROUND) / np.maximum(weight, np.float32(1e-6))
        return np.where(weight > ENOUGH, np.sqrt(mean), UNKNOWN)


def _reaching(mask: np.ndarray, margin: int) -> np.ndarray:
    return cv2.dilate(mask, np.ones((2 * margin + 1,) * 2, np.uint8))


def _doubled(mask: np.ndarray) -> np.ndarray:
    """(256,256) bool -> (512,512)."""
    return mask.repeat(2, 0).repeat(2, 1)


def _median(colours: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(N,P,3) uint8 -> (P,3), of those of the N that count (N,P), of which there is one at least; the lower of two."""
    ordered = np.where(counts[..., None], colours, np.uint16(256))
    ordered.sort(0)
    middle = (counts.sum(0) - 1) // 2
    return np.take_along_axis(ordered, middle[None, :, None], 0)[0].astype(np.uint8)
