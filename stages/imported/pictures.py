"""The source's pictures and masks as this project's files: linked or copied where they are right, else made anew."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats import images
from avatarmake.formats.images import LABEL
from stages.imported.found import Mask
from stages.imported.framing import Framing

# INSTA's seg_mask says a label in red: 250 skin, 240 left brow ... 70 hat (its part_colors: 260 - 10 label, but that
# the eyes begin at 210), black is the ground
RED = {250: 1, 240: 2, 230: 3, 210: 4, 200: 5, 190: 6, 180: 7, 170: 8, 160: 9}
RED |= {150: 10, 140: 11, 130: 12, 120: 13, 110: 14, 100: 15, 90: 16, 80: 17, 70: 18}
LEFT_OUT = ("background", "cloth", "hat")  # of neckhead
MOUTH = ("mouth", "upper_lip", "lower_lip")


class Writer:
    """Writes one after another, and counts what it did: `done`."""

    def __init__(self, framing: Framing, link: bool):
        self._framing, self._link, self.done = framing, link, Counter()

    def picture(self, source: Path | np.ndarray, target: Path) -> None:
        """A JPEG of 512 x 512 in colour. Raises StageError for another size than the first picture's."""
        if target.exists():
            return
        if isinstance(source, Path):
            opened = images.opened(source, header_only=True)
            self._right_size(opened.size, source)
            right = opened.format == "JPEG" and opened.mode == "RGB" and self._framing.as_it_is
            if right:
                return self._take(source, target)
            source = images.read_rgb(source)
        else:
            self._right_size(source.shape[1::-1], target)
        self.done["picture"] += 1
        images.write_jpeg(target, source if self._framing.as_it_is else self._framing.cut(source))

    def mask(self, mask: Mask, part: str, target: Path) -> None:
        """One channel of 0 to 255, JPEG for alpha and PNG for the others."""
        if target.exists():
            return
        opened = images.opened(mask.path, header_only=True)
        self._right_size(opened.size, mask.path)
        values = _read(mask, part)
        if mask.of == "grey" and values.max(initial=0) == 1:
            self.done["mask of 0 and 1"] += 1
            values = values * np.uint8(255)
        elif self._framing.as_it_is and mask.of == "grey" and opened.mode == "L" and opened.format == _format(part):
            return self._take(mask.path, target)
        if not self._framing.as_it_is:
            values = self._framing.cut(values)
            if part != "alpha":
                values = np.where(values >= 128, np.uint8(255), np.uint8(0))
        self.done["mask"] += 1
        (images.write_jpeg if part == "alpha" else images.write_png)(target, values)

    def _right_size(self, size: tuple[int, int], where: Path) -> None:
        if tuple(size) != self._framing.size:
            w, h = self._framing.size
            raise StageError(f"is {size[0]} x {size[1]}, its camera is of {w} x {h}", where)

    def _take(self, source: Path, target: Path) -> None:
        """A hard link shares the file with its source, which is never written to: all that is ours is put in place."""
        if self._link:
            try:
                os.link(source.resolve(), target)
                self.done["linked"] += 1
                return
            except OSError:
                self.done["copied, as no link reaches there"] += 1
        with whole(target) as temporary:
            shutil.copyfile(source, temporary)


def _format(part: str) -> str:
    return "JPEG" if part == "alpha" else "PNG"


def _read(mask: Mask, part: str) -> np.ndarray:
    """(H,W) uint8. Raises StageError."""
    image = images.opened(mask.path)
    if mask.of == "insta":
        return _of_colours(np.asarray(image.convert("RGB"))[..., 0], part, mask.path)
    if mask.of == "alpha":
        if "A" not in image.getbands():
            raise StageError(f"has no alpha channel (its mode is {image.mode})", mask.path)
        return np.asarray(image.getchannel("A"))
    if image.mode in ("I;16", "I"):
        raise StageError(f"its mode is {image.mode}, expected 8 bits", mask.path)
    return np.asarray(image if image.mode in ("L", "P") and not image.getpalette() else image.convert("L"))


def _of_colours(red: np.ndarray, part: str, path: Path) -> np.ndarray:
    table = np.full(256, -1, np.int16)
    table[0] = LABEL["background"]
    for colour, label in RED.items():
        table[colour] = label
    labels = table[red]
    if (labels < 0).any():
        raise StageError(f"holds the colour {int(red[labels < 0][0])}, which is no part's in INSTA's seg_mask", path)
    wanted = MOUTH if part == "mouth" else [name for name in LABEL if name not in LEFT_OUT]
    return np.where(np.isin(labels, [LABEL[name] for name in wanted]), np.uint8(255), np.uint8(0))
