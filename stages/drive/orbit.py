"""Where the camera stands, seen from the head: YAW= and CAMERA=orbit. The light stays with the head."""

import numpy as np

from avatarmake.geometry import rotations

SWING, PERIOD = np.radians(35), 8.0  # how far to either side, and how many seconds there and back


def yaws(config, times: np.ndarray) -> np.ndarray:
    """(F,) radians to the subject's left."""
    swing = SWING * np.sin(2 * np.pi * (times - times[0]) / PERIOD) if config.camera == "orbit" else 0 * times
    return np.radians(config.yaw) + swing


def around(
    rotation: np.ndarray, translation: np.ndarray, yaw: float, pivot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera (3,3), (3,) of a camera that goes round `pivot` (3,) by yaw to the subject's left: the head turns
    about its y axis by as much to its right."""
    turn = rotations.matrix_from_axis_angle(np.array([0, -yaw, 0]))
    shift = translation + rotation @ (pivot - turn @ pivot)
    return (rotation @ turn).astype(np.float32), shift.astype(np.float32)
