"""What can be wrong with a mask file, whoever wrote it: its form, and whether it lies where it should."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.errors import StageError
from avatarmake.formats.images import LABEL, opened, resize, resize_labels
from stages.mask.framing import Source
from stages.mask.geometry import HeadView
from stages.mask.parsing import COLLAR, solid_mask

FAULTS = {
    "missing": "there is no such file",
    "stray": "a file that belongs to no image of the dataset",
    "unreadable": "cannot be decoded",
    "wrong_mode": "not one channel of 8 bits",
    "wrong_size": f"not {IMAGE_SIZE} x {IMAGE_SIZE}",
    "whole_frame": "shows the whole frame of the video and not the crop",
    "wrong_number": "numbered otherwise than the images: from 0, or as it moves with the head",
    "zero_one": "values 0 and 1, which vanish when divided by 255",
    "not_binary": "values between 0 and 255, and not at soft edges only",
    "mouth_empty": "no pixel of mouth, as label 11 alone gives on closed lips",
    "mouth_on_nose": "the mouth mask lies on the nose: CelebAMask-HQ's label table instead of BiSeNet's",
    "mouth_elsewhere": "the mouth mask is not on the mouth",
    "mouth_scattered": "part of the mouth mask lies off the mouth: hair, 13 in CelebAMask-HQ's label table, for a lip",
    "neckhead_cloth": "neckhead contains the clothes",
    "neckhead_incomplete": "neckhead lacks part of the face",
    "alpha_misses_face": "alpha is transparent on the face",
    "inverted": "black where the head is, white around it",
    "covers_everything": "white far beside and above the head too",
}
MISFITS = ("alpha_misses_face", "neckhead_incomplete", "mouth_elsewhere")  # of masks that are of another head
COVERED = 0.8  # of the solid head that neckhead and alpha must cover
CLOTH = 0.03  # of neckhead that may be labelled cloth
SOFT_EDGES = 0.3  # of neckhead that may be grey: where it ends softly, FlashAvatar divides by 255 and takes it as it is
CHEST = (0.05, 0.12)  # metres below the collar line: nothing but clothes hangs there in the middle,
CHEST_WIDTH = 0.05  # metres to either side
MANY_LIPS = 5  # a mouth mask of more than so many times the lips' area is no mouth
NEAR_LIPS = 0.02  # metres around the tracked lips within which a mouth mask lies,
OFF_LIPS = 0.05  # but for so much of it: on two portraits right ones have none there, those with hair 0.16 and more
AROUND = 0.18  # metres from between the ears, above their height, where there is neither head nor, mostly, hair:
FULL = 0.9  # of that place that only a mask of everything covers,
ROOM = 0.004  # if it is so much of the image
FAR = 1e4  # pixels: as far outside as a drawing need reach


@dataclass(frozen=True)
class Opinion:
    """`faults` are names of FAULTS. `mask` is the file's content brought into form, or None where it is no use."""

    faults: tuple[str, ...]
    mask: np.ndarray | None


def inspect(
    path: Path, part: str, view: HeadView, labels: np.ndarray | None = None, source: Source | None = None
) -> Opinion:
    """Look at one file. `labels` (512,512), if there are any, know better than the head model."""
    if not path.exists():
        return Opinion(("missing",), None)
    array, faults = _read(path)
    if array is None:
        return Opinion(tuple(faults), None)
    mask = _in_form(array, part, faults, source)
    if part != "mouth" and _is_inverted(mask, view):
        faults.append("inverted")
        mask = 255 - mask
    wrong = {"alpha": _alpha_faults, "neckhead": _neckhead_faults, "mouth": _mouth_faults}[part](mask, view, labels)
    return Opinion((*faults, *wrong), None if wrong else mask)


def as_it_looks(path: Path, part: str, source: Source | None = None) -> np.ndarray | None:
    """The file's mask in form (512,512), right or wrong, for pictures; None where there is nothing to see."""
    array = _read(path)[0] if path.exists() else None
    return None if array is None else _in_form(array, part, [], source)


def _read(path: Path) -> tuple[np.ndarray | None, list[str]]:
    try:
        image = opened(path)
    except StageError:
        return None, ["unreadable"]
    if image.mode == "L":
        return np.asarray(image), []
    if image.mode == "P" and np.asarray(image).max() <= 1:
        return np.asarray(image), ["wrong_mode"]
    return np.asarray(image.convert("RGB").convert("L")), ["wrong_mode"]


def _in_form(array: np.ndarray, part: str, faults: list[str], source: Source | None) -> np.ndarray:
    """Bring a readable mask into form, noting what was wrong with it. Its outline stays as it was drawn."""
    if array.max() == 1:
        faults.append("zero_one")
        array = array * np.uint8(255)
    if array.shape != (IMAGE_SIZE, IMAGE_SIZE):
        whole = source is not None and source.shows(*array.shape[::-1])
        faults.append("whole_frame" if whole else "wrong_size")
        array = source.cut(array) if whole else array
        array = (resize if part == "alpha" else resize_labels)(array, (IMAGE_SIZE, IMAGE_SIZE))
    if part != "alpha" and _greyness(array) > (SOFT_EDGES if part == "neckhead" else 0):
        faults.append("not_binary")
        array = np.where(array > 127, np.uint8(255), np.uint8(0))
    return array


def _greyness(mask: np.ndarray) -> float:
    """Share of a mask that is neither 0 nor 255, of a sample."""
    sample = mask[::4, ::4]
    return float(np.count_nonzero((sample > 0) & (sample < 255)) / max(np.count_nonzero(sample), 1))


def _alpha_faults(mask: np.ndarray, view: HeadView, labels: np.ndarray | None) -> list[str]:
    if _share_around(mask, view) > FULL:
        return ["covers_everything"]
    solid = solid_mask(view)
    return ["alpha_misses_face"] if solid.any() and mask[solid].mean() < COVERED * 255 else []


def _neckhead_faults(mask: np.ndarray, view: HeadView, labels: np.ndarray | None) -> list[str]:
    if _share_around(mask, view) > FULL:
        return ["covers_everything"]
    faults = []
    solid = solid_mask(view) if labels is None else (labels >= LABEL["skin"]) & (labels <= LABEL["lower_lip"])
    if solid.any() and mask[solid].mean() < COVERED * 255:
        faults.append("neckhead_incomplete")
    if labels is not None:
        cloth = np.count_nonzero(mask[labels == LABEL["cloth"]]) > CLOTH * max(np.count_nonzero(mask), 1)
    else:
        top, bottom = view.pivot[1] + (COLLAR + np.array(CHEST)) * view.scale
        left, right = view.pivot[0] + np.array((-CHEST_WIDTH, CHEST_WIDTH)) * view.scale
        chest = mask[slice(*_inside(top, bottom)), slice(*_inside(left, right))]
        cloth = chest.shape[0] >= 8 and chest.shape[1] >= 8 and chest.mean() > 127
    return [*faults, "neckhead_cloth"] if cloth else faults


def _mouth_faults(mask: np.ndarray, view: HeadView, labels: np.ndarray | None) -> list[str]:
    moments = cv2.moments(mask, binaryImage=True)
    if not moments["m00"]:
        return ["mouth_empty"]
    if labels is not None:
        on_nose = np.count_nonzero(mask[labels == LABEL["nose"]])
        return ["mouth_on_nose"] if on_nose > 0.5 * moments["m00"] else []
    centre = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    off = np.linalg.norm(centre - view.mouth)
    if np.linalg.norm(centre - view.nose) < off:
        return ["mouth_on_nose"]
    width = np.linalg.norm(view.lips[10] - view.lips[0])
    many = MANY_LIPS * max(cv2.contourArea(view.lips), width * width / 8)
    if off > width or moments["m00"] > many:
        return ["mouth_elsewhere"]
    return ["mouth_scattered"] if off_the_lips(mask, view) > OFF_LIPS else []


def off_the_lips(mask: np.ndarray, view: HeadView) -> float:
    """Share of a mouth mask (512,512) that lies further than NEAR_LIPS from the tracked lips."""
    near = np.zeros_like(mask)
    outline = np.round(np.clip(view.lips - 0.5, -FAR, FAR)).astype(np.int32)
    cv2.fillPoly(near, [outline], 255)
    cv2.polylines(near, [outline], True, 255, max(round(2 * NEAR_LIPS * view.scale), 1))
    return np.count_nonzero(mask[near == 0]) / max(np.count_nonzero(mask), 1)


def _is_inverted(mask: np.ndarray, view: HeadView) -> bool:
    solid = solid_mask(view)
    return bool(solid.any()) and mask[solid].mean() < (1 - FULL) * 255 and _share_around(mask, view) > FULL


def _share_around(mask: np.ndarray, view: HeadView) -> float:
    """How white a mask is where no head is, 0 to 1; 0 where the image is too close to say."""
    y, x = np.ogrid[:IMAGE_SIZE, :IMAGE_SIZE]
    away = np.hypot(x + 0.5 - view.pivot[0], y + 0.5 - view.pivot[1]) > AROUND * view.scale
    away &= y < view.pivot[1]
    return float(mask[away].mean()) / 255 if np.count_nonzero(away) > ROOM * mask.size else 0.0


def _inside(low: float, high: float) -> tuple[int, int]:
    return tuple(int(round(min(max(v, 0), IMAGE_SIZE))) for v in (low, high))
