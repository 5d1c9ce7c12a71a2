"""Makes the masks of an image: what one worker process needs, each part opened when it is first wanted."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avatarmake.contract.layout import checkpoint_file, dataset_image
from avatarmake.detection import SelfieSegmenter
from avatarmake.formats.frame import read_frame
from avatarmake.formats.images import read_rgb
from stages.mask.brought import PARTS
from stages.mask.geometry import HeadProjector, HeadView
from stages.mask.label_maps import LabelMaps
from stages.mask.matting import Guide, alpha_from, made_solid, steadied, stillness
from stages.mask.networks import BATCH, FaceParser, InOrder, VideoMatting
from stages.mask.parsing import Colours, mouth_mask, neckhead_mask, solid_mask

COLOUR_SAMPLES = 24  # images from which a video's colours are learnt
KEPT = 8  # decoded images, label maps and silhouettes that are kept, because neighbours ask again


@dataclass(frozen=True)
class Plan:
    """What to make, small enough to hand to processes."""

    dataset: Path
    count: int  # images, numbered from 1
    projector: HeadProjector
    labels: LabelMaps = field(default_factory=LabelMaps)
    parser: Path | None = None  # BiSeNet, for images without a label map
    matting: Path | None = None  # RobustVideoMatting, in place of the selfie network
    head_labels: frozenset[int] = frozenset()
    mouth_labels: frozenset[int] = frozenset()


class MaskSource:
    """Masks of the images of a dataset. Every result depends on the video alone, not on what was asked before."""

    def __init__(self, plan: Plan):
        cv2.setNumThreads(1)  # the processes share the cores
        self.plan = plan
        self._images: dict[int, np.ndarray] = {}
        self._labels: dict[int, np.ndarray] = {}
        self._silhouettes: dict[int, tuple[Guide, np.ndarray]] = {}
        self._stillness: dict[int, np.ndarray] = {}
        self._segmenter: SelfieSegmenter | None = None

    def close(self) -> None:
        if self._segmenter is not None:
            self._segmenter.close()

    def make(self, number: int, view: HeadView, parts: frozenset[str] = frozenset(PARTS)) -> dict[str, np.ndarray]:
        """The parts asked for, each (512,512) uint8."""
        made = {}
        labels = self.labels(number)
        if "mouth" in parts:
            made["mouth"] = mouth_mask(view) if labels is None else _of_labels(labels, self.plan.mouth_labels)
        if "neckhead" in parts and labels is not None:
            made["neckhead"] = _of_labels(labels, self.plan.head_labels)
        if "alpha" in parts or ("neckhead" in parts and labels is None):
            solid = solid_mask(view)
            alpha, guide = self._alpha(number, solid)
            made["alpha"] = alpha
            if labels is None:
                made["neckhead"] = neckhead_mask(alpha, guide, view, self._colours, solid)
        return {part: made[part] for part in PARTS if part in parts}

    def labels(self, number: int) -> np.ndarray | None:
        """The label map given for an image, at its size, else the parser's; None where there is neither.

        Raises StageError for a file that is no label map.
        """
        if number not in self._labels:
            if number in self.plan.labels:
                _keep(self._labels, {number: self.plan.labels.read(number)})
            elif self.plan.parser:
                # always the same images together, so that no bit depends on where a run began
                first = (number - 1) // BATCH * BATCH + 1
                last = min(first + BATCH - 1, self.plan.count)
                some = [n for n in range(first, last + 1) if n not in self.plan.labels]
                maps = self._parser.labels([self._image(n) for n in some])
                _keep(self._labels, dict(zip(some, maps, strict=True)))
        return self._labels.get(number)

    def views(self, numbers: list[int]) -> list[HeadView]:
        records = [read_frame(checkpoint_file(self.plan.dataset, n - 1)) for n in numbers]
        return self.plan.projector.views(records)

    @cached_property
    def _colours(self) -> Colours:
        numbers = np.unique(np.linspace(1, self.plan.count, COLOUR_SAMPLES).round().astype(int)).tolist()
        views = self.views(numbers)
        seen = [self._look(_read(self._path(number))) for number in numbers]
        return Colours.learn([(g.small, m / np.float32(255), v) for (g, m), v in zip(seen, views, strict=True)])

    @cached_property
    def _parser(self) -> FaceParser:
        return FaceParser(self.plan.parser)

    @cached_property
    def _matting(self) -> InOrder:
        return InOrder(VideoMatting(self.plan.matting), self._image, self.plan.count)

    def _alpha(self, number: int, solid: np.ndarray) -> tuple[np.ndarray, Guide]:
        if self.plan.matting:
            return made_solid(self._matting.alpha(number), solid), Guide(self._image(number))
        guide, mask = self._silhouette(number)
        around = [n for n in (number - 1, number + 1) if 1 <= n <= self.plan.count]
        steady = steadied(mask, [(self._silhouette(n)[1], self._still(min(n, number))) for n in around])
        return alpha_from(steady, guide, solid), guide

    def _still(self, number: int) -> np.ndarray:
        """What stands still from image `number` to the next; both ask for it."""
        if number not in self._stillness:
            a, b = self._silhouette(number)[0], self._silhouette(number + 1)[0]
            _keep(self._stillness, {number: stillness(a.grey, b.grey)})
        return self._stillness[number]

    def _silhouette(self, number: int) -> tuple[Guide, np.ndarray]:
        """An image as a guide, and the network's mask of it."""
        if number not in self._silhouettes:
            _keep(self._silhouettes, {number: self._look(self._image(number))})
        return self._silhouettes[number]

    def _look(self, image: np.ndarray) -> tuple[Guide, np.ndarray]:
        if self._segmenter is None:
            self._segmenter = SelfieSegmenter()
        guide = Guide(image)
        return guide, self._segmenter.alpha(guide.small)

    def _image(self, number: int) -> np.ndarray:
        if number not in self._images:
            _keep(self._images, {number: _read(self._path(number))})
        return self._images[number]

    def _path(self, number: int) -> Path:
        return dataset_image(self.plan.dataset, number)


def _keep(cache: dict[int, Any], new: dict[int, Any]) -> None:
    """Add to a cache, and drop what was added first."""
    cache.update(new)
    while len(cache) > KEPT:
        del cache[next(iter(cache))]


def _read(path: Path) -> np.ndarray:
    """As images.read_rgb, bit for bit, in two thirds of the time; what is not a whole JPEG is left to that to judge."""
    content = np.fromfile(path, np.uint8) if path.exists() else np.zeros(0, np.uint8)
    whole = len(content) > 4 and content[-2:].tobytes() == b"\xff\xd9"
    image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION) if whole else None
    return read_rgb(path) if image is None else image


def _of_labels(labels: np.ndarray, wanted: frozenset[int]) -> np.ndarray:
    table = np.zeros(256, np.uint8)
    table[sorted(wanted)] = 255
    return table[labels]
