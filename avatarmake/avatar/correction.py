"""A small rigid correction of a camera, as training learns one for each of its frames: (6,) in UNITs."""

import numpy as np

from avatarmake.geometry import rotations

UNIT = np.array([0.01] * 3 + [0.001] * 3)  # radians, metres: about 1 px each at 512


def corrected(value: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A rotation vector about the head's origin and a translation, both in camera axes, put on R (3,3), t (3,)."""
    turn = rotations.matrix_from_axis_angle(value[:3] * UNIT[:3])
    return (turn @ rotation).astype(np.float32), (translation + value[3:] * UNIT[3:]).astype(np.float32)


def mean_correction(poses: dict[str, np.ndarray]) -> np.ndarray:
    """The part `poses` of a checkpoint -> (6,): the mean of the corrections of the frames that were trained on.

    The part that follows the code has no mean over them, codes being centred there.
    """
    trained = poses["steps"] > 0
    return poses["own"][trained].mean(0) if trained.any() else np.zeros(6)
