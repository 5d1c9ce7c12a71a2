"""A user's folder of label maps: which file is which image's, in which numbering, of the crop or of the whole frame.

What names and sizes leave open is told by holding some of the maps against the tracked head. What is safe to convert is
converted, and said; the rest is refused, and what would help is named.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import StageError
from avatarmake.formats.images import read_labels, resize_labels, size
from stages.mask import agreement, numbering
from stages.mask.framing import Source, is_square
from stages.mask.geometry import HeadView

TITLES = {"bisenet": "BiSeNet's", "celebamask": "CelebAMask-HQ's"}


@dataclass(frozen=True)
class LabelMaps:
    """Image number -> label map (512,512) in BiSeNet's numbers. Empty where the user gave none."""

    files: dict[int, Path] = field(default_factory=dict)
    numbering: str = "bisenet"
    source: Source | None = None

    def __contains__(self, number: int) -> bool:
        return number in self.files

    def __len__(self) -> int:
        return len(self.files)

    def read(self, number: int) -> np.ndarray:
        """Raises StageError for a file that is no label map, or is of something else than crop or frame."""
        return numbering.table(self.numbering)[raw(self.files[number], self.source)]


def raw(path: Path, source: Source | None) -> np.ndarray:
    """(512,512), in the map's own numbering. Raises StageError."""
    labels = read_labels(path)
    height, width = labels.shape
    if source and source.shows(width, height):
        labels = source.cut(labels)
    elif not is_square(width, height):
        video = "{} x {}".format(*source.size) if source else "which dataset/ does not tell"
        what = f"is {width} x {height}: neither square, as the crops are, nor of the video's proportions, {video}"
        raise StageError(what, path, "Make label maps of dataset/imgs, or of whole frames that are not cut")
    return resize_labels(labels, (IMAGE_SIZE, IMAGE_SIZE))


def found(folder: Path, asked: str, index: dict, views: Callable[[list[int]], list[HeadView]]) -> LabelMaps:
    """The label maps in `folder`, held against the tracked head; says what it made of them.

    asked: a numbering of NUMBERINGS, or auto. index: the dataset's index.json. views: the heads of some images.
    Raises StageError when there is none, or when they are not this video's.
    """
    maps = {int(p.stem): p for p in sorted(folder.iterdir()) if re.fullmatch(r"[0-9]{1,9}\.png", p.name)}
    numbers = by_name(set(maps), index["images"], index.get("source_frames"))
    sample = agreement.neighbours([i for i, n in enumerate(numbers, 1) if n in maps])
    if not sample:
        raise StageError("holds no label map of an image of this dataset", folder, "Name them 00001.png, 00002.png ...")
    source = Source.of(index)
    held = _Held(maps, numbers, source, dict(zip(sample, views(sample), strict=True)))
    kind = held.numbering(folder, asked)
    shift = held.shift(kind)
    numbers = [n + shift for n in numbers]
    if said := agreement.complaint(held.faces(kind, shift)):
        what = f"its maps do not fit this video: {said}"
        raise StageError(what, folder, "They seem to be another video's, or cut otherwise: see dataset/imgs")
    files = {i: maps[n] for i, n in enumerate(numbers, 1) if n in maps}
    _say(files, shift, len(numbers), kind, source)
    return LabelMaps(files, kind, source)


def by_name(there: set[int], images: list[int], source_frames: list[int] | None = None) -> list[int]:
    """The number of each image's file, as far as numbers tell: (N,) for the N images of the dataset.

    More files than the dataset has images were made of frames/, and go by its numbers, `images`; far more were made of
    the video, of which FPS= took a part, and go by its `source_frames`. A number 0 says that they are counted from 0.
    """
    first = 0 if 0 in there else 1
    last = max(there, default=0) + 1 - first  # as if counted from 1
    if len(there) <= len(images) and last <= len(images):
        return [n + first for n in range(len(images))]
    by_source = [n + 1 for n in source_frames] if source_frames else images
    nearer = min(images, by_source, key=lambda numbers: abs(last - numbers[-1]))
    return [n - 1 + first for n in nearer]


class _Held:
    """Some of the maps, in their own numbering, and the heads they are held against."""

    def __init__(self, maps: dict[int, Path], numbers: list[int], source: Source | None, heads: dict[int, HeadView]):
        self._heads = {numbers[i - 1]: view for i, view in heads.items()}  # a file's number -> its head, by name
        wanted = sorted({n + s for n in self._heads for s in agreement.SHIFTS} & maps.keys())
        self._read = {n: raw(maps[n], source) for n in wanted}

    def numbering(self, folder: Path, asked: str) -> str:
        """The numbering of the maps, BiSeNet's or another. Raises StageError where none that is known can be theirs."""
        counts = sum(numbering.at_places(self._read[n], view) for n, view in self._heads.items())
        try:
            seen = numbering.recognised(counts)
        except ValueError as e:
            if asked != "auto":
                return asked
            known = "BiSeNet's (10; 11 to 13), CelebAMask-HQ's (2; 10 to 12)"
            what = f"its labels are of another numbering, or its maps of another video: {e}; known are {known}"
            raise StageError(what, folder, "Convert them to BiSeNet's numbers, 0 to 18") from None
        if asked not in ("auto", seen):
            print(f"mask: the label maps look as if they were in {TITLES[seen]} numbering, and are taken as asked for")
        return seen if asked == "auto" else asked

    def shift(self, kind: str) -> int:
        """How many numbers further the files of the images are, as they move with the head: -1, 0, 1."""
        table, nowhere = numbering.table(kind), np.full(2, np.nan)
        centres = {n: agreement.face_centre(table[labels]) for n, labels in self._read.items()}
        heads = np.array([agreement.head_centre(view) for view in self._heads.values()])
        return agreement.better_shift(
            {s: np.array([centres.get(n + s, nowhere) for n in self._heads]) for s in agreement.SHIFTS}, heads
        )

    def faces(self, kind: str, shift: int) -> list[agreement.Face]:
        table = numbering.table(kind)
        pairs = [(self._read.get(n + shift), view) for n, view in self._heads.items()]
        return [agreement.face(table[labels], view) for labels, view in pairs if labels is not None]


def _say(files: dict[int, Path], shift: int, count: int, kind: str, source: Source | None) -> None:
    """A line for each thing that is not as it should be."""
    first = min(files)
    if int(files[first].stem) == 0:
        print(f"mask: the label maps are numbered from 0: {files[first].name} is image {first}'s")
    if shift:
        print(f"mask: {files[first].name} is taken for image {first}, because so the label maps move with the head")
    if kind != "bisenet":
        print(f"mask: the label maps are in {TITLES[kind]} numbering, converted to BiSeNet's")
    if source and source.shows(*size(files[first])):
        print(f"mask: the label maps show the whole frame, {source.size[0]} x {source.size[1]}, and are cut as it was")
    if len(files) < count:
        print(f"mask: {count - len(files)} of {count} images have no label map", flush=True)
