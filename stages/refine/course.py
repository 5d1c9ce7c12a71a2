"""The course of a head's corrections over a video: what a picture says of one frame, its neighbours have a say in.

A camera found by one picture shakes by half a pixel, one that was tracked over time by less, and is off for as long as
a face looks alike. So what is smoothed is the difference of the two: the head's own motion stays as quick as it was
tracked.
"""

import numpy as np

from avatarmake.avatar.correction import UNIT, corrected
from avatarmake.geometry import cameras, rotations
from avatarmake.geometry.jitter import RIGID
from stages.train.dataset import Dataset

# Of a frame and four on either side: a binomial's, whose standard deviation is 1.4 frames
WEIGHTS = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
PARAMETERS = ("expression", "jaw_pose", "eye_pose", "eyelids")


def correction(dataset: Dataset, i: int, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """(6,) in UNITs: what leads from the tracked camera of frame i to this one; `corrected` is its inverse."""
    turn = rotation.astype(np.float64) @ dataset.rotation[i].astype(np.float64).T
    return np.concatenate([rotations.axis_angle_from_matrix(turn), translation - dataset.translation[i]]) / UNIT


def smooth(corrections: np.ndarray, frames: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """(F,6) of frames with these numbers, ascending, which have a gap where one does not follow another -> (F,6).

    trained (F,) bool: in what those become, which an avatar will be made of, the others have no say.
    """
    total, weight = np.zeros_like(corrections), np.zeros(len(corrections))
    reach = len(WEIGHTS) // 2
    for k, w in zip(range(-reach, reach + 1), WEIGHTS, strict=True):
        here = np.arange(max(-k, 0), len(frames) - max(k, 0))
        there = here + k
        heard = (frames[there] - frames[here] == k) & (trained[there] | ~trained[here])
        here, there = here[heard], there[heard]
        total[here] += w * corrections[there]
        weight[here] += w
    return total / weight[:, None]


def cameras_of(dataset: Dataset, corrections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F,6) -> rotations (F,3,3), translations (F,3)."""
    found = map(corrected, corrections, dataset.rotation, dataset.translation)
    return tuple(map(np.stack, zip(*found, strict=True)))


def rigid(dataset: Dataset, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """(F,L,2) px: the landmarks RIGID as those cameras see them."""
    head = dataset.model.at_landmarks(np.array(RIGID))
    points = head.landmarks(head.vertices(dataset.shape, *(getattr(dataset, name) for name in PARAMETERS)))
    each = zip(points, rotation, translation, strict=True)
    return np.stack([cameras.project(*one, dataset.intrinsics) for one in each])
