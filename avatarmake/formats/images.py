"""Images and masks on disk and their geometry, with Pillow alone, so that every stage's image has it.

Arrays are uint8: (H,W,3) RGB or (H,W). Pixel centres are at +0.5: pixel (i, j) covers [j, j+1) x [i, i+1), so resizing
by `s` takes a point at x to s x, exactly. Files appear whole or not at all.
"""

import math
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.files.whole import whole

# BiSeNet's 19 classes, as face-parsing networks number them. CelebAMask-HQ's own table differs (mouth at 10, neck at
# 17, cloth at 18): a mask made by that table sits on the nose.
LABELS = (
    "background skin left_brow right_brow left_eye right_eye glasses left_ear right_ear earring nose mouth upper_lip "
    "lower_lip neck necklace cloth hair hat"
).split()
LABEL = {name: number for number, name in enumerate(LABELS)}


LARGEST, LONGEST = 1 << 25, 1 << 15  # pixels, and those of a side (8K has 33 million): a broken file says any number


def read_rgb(path: Path) -> np.ndarray:
    """-> (H,W,3). Raises StageError when there is no such image or it cannot be decoded."""
    return np.asarray(opened(path).convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """-> (H,W), the values as they are stored; a colour image is an error, not a guess."""
    image = opened(path)
    if image.mode != "L":
        raise StageError(f"its mode is {image.mode}, expected L: one channel of 8 bits", path)
    return np.asarray(image)


def read_labels(path: Path) -> np.ndarray:
    """-> (H,W) of a map of BiSeNet's classes 0..18; grey or indexed colours, as tools write them."""
    image = opened(path)
    labels = np.asarray(image) if image.mode in ("L", "P") else None
    if labels is None or labels.max() >= len(LABELS):
        what = f"its mode is {image.mode}" if labels is None else f"it holds a {labels.max()}"
        raise StageError(f"is not a map of BiSeNet's classes: {what}, expected one channel of 0 to 18", path)
    return labels


def size(path: Path) -> tuple[int, int]:
    """(w, h), by its header alone. Raises StageError as the others do."""
    return opened(path, header_only=True).size


def write_jpeg(path: Path, image: np.ndarray, quality: int = 95) -> None:
    """(H,W,3) or (H,W) -> baseline JPEG, colour at full resolution (4:4:4)."""
    with whole(path) as temporary:
        _image(image).save(temporary, "JPEG", quality=quality, subsampling=0)


def write_png(path: Path, image: np.ndarray) -> None:
    """(H,W,3) or (H,W), lossless, compressed lightly."""
    with whole(path) as temporary:
        _image(image).save(temporary, "PNG", compress_level=1)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """-> `size` (w, h): an average over the area when it gets smaller, bicubic when larger."""
    from PIL.Image import Resampling

    if image.shape[1::-1] == tuple(size):
        return image
    smaller = size[0] < image.shape[1] or size[1] < image.shape[0]
    # Hamming is Pillow's area average that does not shift pixels about (its BOX does, by up to half of one)
    return np.asarray(_image(image).resize(size, Resampling.HAMMING if smaller else Resampling.BICUBIC))


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """-> `size` (w, h) of a map of classes (H,W): the nearest pixel, never a blend of two classes."""
    from PIL.Image import Resampling

    return np.asarray(_image(labels).resize(size, Resampling.NEAREST))


def crop(image: np.ndarray, x: int, y: int, w: int, h: int) -> np.ndarray:
    """The rectangle from (x, y), w x h pixels; what reaches outside repeats the edge. A view where nothing does."""
    rows, columns = image.shape[:2]
    if 0 <= x and 0 <= y and x + w <= columns and y + h <= rows:
        return image[y : y + h, x : x + w]
    across = np.clip(np.arange(x, x + w), 0, columns - 1)
    down = np.clip(np.arange(y, y + h), 0, rows - 1)
    return image[down[:, None], across]


def tint(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], strength: float = 0.5) -> np.ndarray:
    """Lay a colour over the image where the mask (0..255) is, for pictures that people look at."""
    weight = mask[..., None].astype(np.float32) * (strength / 255)
    return np.rint(image * (1 - weight) + np.array(colour, np.float32) * weight).astype(np.uint8)


def _image(array: np.ndarray):
    from PIL import Image

    assert array.dtype == np.uint8, array.dtype
    return Image.fromarray(np.ascontiguousarray(array))


def opened(path: Path, header_only: bool = False):
    """-> Pillow's image, its pixels read. Raises StageError when there is none or it cannot be decoded."""
    from PIL import Image

    try:
        with path.open("rb") as file:  # Pillow leaves those open that it cannot read
            image = Image.open(file)
            if math.prod(image.size) > LARGEST or max(image.size) > LONGEST:
                raise ValueError("{} x {} pixels".format(*image.size))
            if not header_only:
                image.load()
    except FileNotFoundError as e:
        raise StageError("there is no such image", path) from e
    except Exception as e:  # Pillow raises SyntaxError for a broken PNG, and what its decoders make of broken lengths
        raise StageError(f"cannot be read as an image: {e}", path) from e
    return image
