"""The numbers that face-parsing networks and data sets give the same classes, and which of them a map is written in.

A map says nothing of its own numbering, but the tracked head knows where nose, mouth and chest are: whose numbers lie
there is the numbering. Sources of the tables: zllrunning/face-parsing.PyTorch (BiSeNet); switchablenorms/CelebAMask-HQ,
face_parsing/Data_preprocessing, which SegFormer's face parsers have kept.
"""

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.formats.images import LABEL, LABELS
from stages.mask.geometry import HeadView

NUMBERINGS = {
    "bisenet": tuple(LABELS),
    "celebamask": tuple(
        "background skin nose glasses left_eye right_eye left_brow right_brow left_ear right_ear mouth upper_lip "
        "lower_lip hair hat earring necklace neck cloth".split()
    ),
}
# what must lie at each place, by BiSeNet's names; no two numberings agree about all three
PLACES = {"nose": ("nose",), "mouth": ("mouth", "upper_lip", "lower_lip"), "chest": ("cloth",)}
NOSE_RADIUS = 0.008  # metres: half of a narrow nose's wings
CHEST = (0.22, 0.29, 0.05)  # metres below the ears: from, to; and to either side. Cloth whatever the collar
CLEAR = 0.3  # what another numbering must be better by: on two portraits the right one has .97, the other .25 to .37
FOREIGN = 0.5  # of a place that has one label which no known numbering has there


def table(numbering: str) -> np.ndarray:
    """(256,) uint8: a label of this numbering -> BiSeNet's; what it does not know keeps its number."""
    known = np.arange(256, dtype=np.uint8)
    names = NUMBERINGS[numbering]
    known[: len(names)] = [LABEL[name] for name in names]
    return known


def at_places(labels: np.ndarray, view: HeadView) -> np.ndarray:
    """(3,256): how often each label lies at each of PLACES in a map (512,512). A place out of sight has none."""
    counts = np.zeros((len(PLACES), 256), np.int64)
    for row, mask in zip(counts, _places(view), strict=True):
        row += np.bincount(labels[mask], minlength=256)
    return counts


def scores(counts: np.ndarray) -> dict[str, float]:
    """numbering -> share of what is seen at the places that is what it should be, 0 to 1; each place counts alike."""
    places = [(names, row / row.sum()) for names, row in zip(PLACES.values(), counts, strict=True) if row.any()]
    return {
        numbering: float(np.mean([row[_numbers(numbering, names)].sum() for names, row in places] or [0]))
        for numbering in NUMBERINGS
    }


def recognised(counts: np.ndarray) -> str:
    """The numbering: BiSeNet's, unless another fits clearly better. Raises ValueError where none can be it."""
    fits = scores(counts)
    best = max(fits, key=fits.get)
    if fits[best] - fits["bisenet"] < CLEAR:
        best = "bisenet"
    strange = []
    for place, row in list(zip(PLACES, counts, strict=True))[:2]:
        label = int(row.argmax())
        known = label in (LABEL["background"], LABEL["skin"]) or label in _numbers(best, PLACES[place])
        if not known and row[label] > FOREIGN * row.sum():
            strange.append(f"{label} lies on the {place}")
    if len(strange) == 2:
        raise ValueError(" and ".join(strange))
    return best


def _numbers(numbering: str, names: tuple[str, ...]) -> list[int]:
    return [NUMBERINGS[numbering].index(name) for name in names]


def _places(view: HeadView) -> list[np.ndarray]:
    """(512,512) bool each, in the order of PLACES."""
    nose, mouth, chest = (np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8) for _ in PLACES)
    cv2.circle(nose, _pixel(view.nose), max(int(NOSE_RADIUS * view.scale), 1), 1, cv2.FILLED)
    cv2.fillPoly(mouth, [np.round(np.clip(view.lips - 0.5, -1e4, 1e4)).astype(np.int32)], 1)
    top, bottom, aside = CHEST
    corners = [view.pivot + np.array(d) * view.scale for d in ((-aside, top), (aside, bottom))]
    cv2.rectangle(chest, *map(_pixel, corners), 1, cv2.FILLED)
    return [place > 0 for place in (nose, mouth, chest)]


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(np.nan_to_num(np.round(point - 0.5)), -1e4, 1e4)
    return int(x), int(y)
