"""Makes the masks of an image: what one worker process needs, each part opened when it is first wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE, checkpoint_file, dataset_image
from avatarmake.detection import SelfieSegmenter
from avatarmake.formats.frame import read_frame
from avatarmake.formats.images import read_rgb
from stages.mask.brought import PARTS
from stages.mask.colours import Colours
from stages.mask.geometry import HeadProjector, HeadView
from stages.mask.ground import explained, matted
from stages.mask.label_maps import LabelMaps
from stages.mask.matting import SMALL, Guide, alpha_from, quartered, steadied, stillness
from stages.mask.networks import BATCH, FaceParser, InOrder, VideoMatting
from stages.mask.parsing import mouth_mask, neckhead_mask, solid_mask, solid_share
from stages.mask.places import places
from stages.mask.plate import Plate

COLOUR_SAMPLES = 24  # images from which a video's colours are learnt,
GROUND_SAMPLES = 48  # and what its ground looks like by itself
KEPT = 8  # decoded images, label maps and outlines that are kept, because neighbours ask again


@dataclass(frozen=True)
class Plan:
    """What to make, small enough to hand to processes."""

    dataset: Path
    count: int  # images, numbered from 1
    projector: HeadProjector
    labels: LabelMaps = field(default_factory=LabelMaps)
    parser: Path | None = None  # BiSeNet, for images without a label map
    matting: Path | None = None  # RobustVideoMatting, in place of the selfie network
    plate: Plate | None = None  # the ground by itself, for the selfie network's outlines
    visible: tuple[int, int, int, int] = (0, 0, IMAGE_SIZE, IMAGE_SIZE)  # what of the crop is picture: x0, y0, x1, y1
    head_labels: frozenset[int] = frozenset()
    mouth_labels: frozenset[int] = frozenset()


class MaskSource:
    """Masks of the images of a dataset. Every result depends on the video alone, not on what was asked before."""

    def __init__(self, plan: Plan):
        cv2.setNumThreads(1)  # the processes share the cores
        self.plan = plan
        self._images: dict[int, np.ndarray] = {}
        self._labels: dict[int, np.ndarray] = {}
        self._guides: dict[int, Guide] = {}
        self._stillness: dict[int, np.ndarray] = {}
        self._outlines: dict[int, np.ndarray] = {}
        self._odds: dict[int, np.ndarray] = {}
        self._views: dict[int, HeadView] = {}
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
            alpha, guide = self._alpha(number, view)
            made["alpha"] = alpha
            if labels is None:
                made["neckhead"] = neckhead_mask(alpha, guide, view, self._steadied(number, self._head_odds))
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
        """Of a run of images; they are kept until the next run."""
        views = self._seen(numbers)
        self._views = dict(zip(numbers, views, strict=True))
        return views

    def _seen(self, numbers: list[int]) -> list[HeadView]:
        records = [read_frame(checkpoint_file(self.plan.dataset, n - 1)) for n in numbers]
        return self.plan.projector.views(records)

    def _spread(self, some: int) -> list[int]:
        """The numbers of so many images all over the video."""
        return np.unique(np.linspace(1, self.plan.count, some).round().astype(int)).tolist()

    def ground(self) -> tuple[Plate, float]:
        """The ground by itself, and at what share of the outlines it is known and agrees with what is seen there."""
        numbers = self._spread(GROUND_SAMPLES)
        guides = [Guide(_read(self._path(n))) for n in numbers]
        masks = [self._silhouette(guide) for guide in guides]
        plate = Plate.learn([guide.image for guide in guides], masks)
        parts = zip(masks, guides, self._seen(numbers), strict=True)
        return plate, float(np.mean([explained(alpha_from(m, g, solid_share(v)), g, plate) for m, g, v in parts]))

    @cached_property
    def _colours(self) -> Colours:
        numbers, samples = self._spread(COLOUR_SAMPLES), []
        for number, view in zip(numbers, self._seen(numbers), strict=True):
            guide = Guide(_read(self._path(number)))
            samples.append((guide.quarter, quartered(self._silhouette(guide)) / np.float32(255), places(view)))
        return Colours.learn(samples)

    @cached_property
    def _parser(self) -> FaceParser:
        return FaceParser(self.plan.parser)

    @cached_property
    def _matting(self) -> InOrder:
        return InOrder(VideoMatting(self.plan.matting), self._image, self.plan.count)

    def _alpha(self, number: int, view: HeadView) -> tuple[np.ndarray, Guide]:
        if self.plan.matting:
            alpha = self._matting.alpha(number) | solid_mask(view).view(np.uint8) * np.uint8(255)
            return alpha, self._guide(number)
        alpha = self._steadied(number, self._outlined)
        whole = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        left, top, right, bottom = self.plan.visible  # beyond, the image repeats its edge
        seen = slice(top, bottom), slice(left, right)
        whole[seen] = cv2.convertScaleAbs(alpha[seen], alpha=255)
        return whole, self._guide(number)

    def _steadied(self, number: int, one: Callable[[int], np.ndarray]) -> np.ndarray:
        """What `one` says of an image, with its neighbours' where it stands still."""
        around = [n for n in (number - 1, number + 1) if 1 <= n <= self.plan.count]
        return steadied(one(number), [(one(n), self._still(min(n, number))) for n in around])

    def _outlined(self, number: int) -> np.ndarray:
        """Alpha (512,512) float32 of an image by itself."""
        if number not in self._outlines:
            guide = self._guide(number)
            alpha = alpha_from(self._silhouette(guide), guide, solid_share(self._view(number)))
            _keep(self._outlines, {number: matted(alpha, guide, self.plan.plate)})
        return self._outlines[number]

    def _head_odds(self, number: int) -> np.ndarray:
        """Log-odds (128,128) of head against clothes, of an image by itself."""
        if number not in self._odds:
            odds = self._colours.head_odds(self._guide(number).quarter, places(self._view(number)))
            _keep(self._odds, {number: odds})
        return self._odds[number]

    def _view(self, number: int) -> HeadView:
        return self._views[number] if number in self._views else self._seen([number])[0]

    def _still(self, number: int) -> np.ndarray:
        """What stands still from image `number` to the next; both ask for it."""
        if number not in self._stillness:
            still = stillness(self._guide(number), self._guide(number + 1))
            _keep(self._stillness, {number: still})
        return self._stillness[number]

    def _guide(self, number: int) -> Guide:
        if number not in self._guides:
            _keep(self._guides, {number: Guide(self._image(number))})
        return self._guides[number]

    def _silhouette(self, guide: Guide) -> np.ndarray:
        """The network's mask (256,256) uint8 of an image."""
        if self._segmenter is None:
            self._segmenter = SelfieSegmenter()
        left, top, right, bottom = (v // 2 for v in self.plan.visible)
        mask = np.zeros((SMALL, SMALL), np.uint8)
        mask[top:bottom, left:right] = self._segmenter.alpha(guide.small[top:bottom, left:right])
        return mask

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
