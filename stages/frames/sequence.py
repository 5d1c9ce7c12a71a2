"""Images on disk as a video: what people who have their frames already give."""

import contextlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from avatarmake.errors import StageError
from stages.frames.colour import over_white
from stages.frames.images import gaps
from stages.frames.video import READABLE, Frame

UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # Pillow's, for what is broken


class Sequence:
    """Images as a video of `fps` a second, with what a Video has. Raises StageError when they are not of one size."""

    rotation = 0

    def __init__(self, path: Path, files: list[Path], fps: float):
        self.path, self.fps, self._files = path, fps, files
        self.duration = len(files) / fps
        self._broken: list[Path] = []
        self.width, self.height = _one_size(path, files)

    def __enter__(self) -> "Sequence":
        return self

    def __exit__(self, *_) -> None:
        pass

    @property
    def unreadable(self) -> int:
        return len(self._broken)

    @property
    def lines(self) -> list[str]:
        said = [f"{len(self._files)} images, {self.fps:g} a second"]
        if missing := gaps(self._files):
            said.append(f"{missing} numbers between {self._files[0].name} and {self._files[-1].name} are missing")
        if self._broken:
            said.append(f"{len(self._broken)} images cannot be read, left out: {self._broken[0].name} ...")
        return said

    def upright(self, image: np.ndarray) -> np.ndarray:
        return image

    def frames(self) -> Iterator[Frame]:
        """Every image. Those that cannot be read are left out; raises StageError when that is more than a tenth."""
        self._broken = []
        for index, path in enumerate(self._files):
            try:
                image = read(path)
            except UNREADABLE:
                self._broken.append(path)
                continue
            yield Frame(index, index / self.fps, self, image)
        if len(self._files) - len(self._broken) < READABLE * len(self._files):
            what = f"{len(self._broken)} of {len(self._files)} images cannot be read: {self._broken[0].name} ..."
            raise StageError(what, self.path, "Copy them again")

    def samples(self, count: int) -> Iterator[Frame]:
        picks = np.unique(np.linspace(0, len(self._files) - 1, min(count, len(self._files))).round().astype(int))
        for index in picks.tolist():
            with contextlib.suppress(*UNREADABLE):
                yield Frame(index, index / self.fps, self, read(self._files[index]))


def read(path: Path) -> np.ndarray:
    """-> (h,w,3) uint8 sRGB, upright by its EXIF tag; 16 bits become 8, transparency is over white.

    Raises OSError, ValueError or SyntaxError for what cannot be read.
    """
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        profile = opened.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode == "I":
        grey = np.asarray(image).astype(np.int64).clip(0, 65535)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, 2)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range nobody knows")
    if not image.has_transparency_data:
        return np.asarray(_srgb(image.convert("RGB"), profile))
    rgba = image.convert("RGBA")
    return over_white(np.asarray(_srgb(rgba.convert("RGB"), profile)), np.asarray(rgba)[..., 3:])


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Phones write Display P3. A profile that is of no RGB image, or broken, is left alone."""
    if not profile:
        return image
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" not in ImageCms.getProfileDescription(own):
            return ImageCms.profileToProfile(image, own, ImageCms.createProfile("sRGB"))
    return image


def _one_size(path: Path, files: list[Path]) -> tuple[int, int]:
    """Width and height of all of them, upright, from their headers. Raises StageError with names where they differ."""
    sizes: dict[tuple[int, int], Path] = {}
    counts: Counter = Counter()
    for file in files:
        with contextlib.suppress(*UNREADABLE), Image.open(file) as image:
            lies = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            size = image.size[::-1] if lies else image.size
            sizes.setdefault(size, file)
            counts[size] += 1
    if not counts:
        raise StageError(f"not one of {len(files)} images can be read", path, "Give others")
    if len(counts) > 1:
        (most, n), (other, m) = counts.most_common(2)
        what = f"its images are not of one size: {n} like {sizes[most].name} are {most[0]} x {most[1]}"
        what += f", {m} like {sizes[other].name} are {other[0]} x {other[1]}"
        raise StageError(what, path, "Give images of one size, as a video has them")
    return next(iter(counts))
