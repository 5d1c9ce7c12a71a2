"""A small rigid correction of each training frame's camera: it wins back what the tracker's jitter costs.

Six numbers a frame: a rotation vector about the head's origin and a translation, both in camera axes. Unseen frames
have none: they are judged with the tracker's camera, never with what their own picture would say.
"""

import numpy as np

from stages import rotations

UNIT = np.array([0.01] * 3 + [0.001] * 3)  # radians, metres: about 1 px each at 512


class Poses:
    """Corrections (F,6) in UNITs, each with its own Adam, because a frame is seen once in an epoch only."""

    def __init__(self, frames: int, rate: float, decay: float):
        self.rate, self.decay = rate, decay
        self.values = np.zeros((frames, 6))
        self.first, self.second = np.zeros((frames, 6)), np.zeros((frames, 6))
        self.steps = np.zeros(frames, np.int64)

    def camera(self, i: int, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World-to-camera (3,3), (3,) of frame i -> the same, corrected, float32."""
        return corrected(self.values[i], rotation, translation)

    def step(
        self, i: int, rotation: np.ndarray, d_rotation: np.ndarray, d_translation: np.ndarray, factor: float
    ) -> None:
        """One Adam step of frame i, from the gradients by its corrected camera. Corrections are small, so that the
        derivative of the rotation is taken where it is: d R / d r_k = skew(e_k) R."""
        turn = rotations.skew(np.eye(3)) @ rotation.astype(np.float64)
        gradient = np.concatenate([(turn * d_rotation).sum((1, 2)), d_translation.astype(np.float64)]) * UNIT
        gradient += self.decay * self.values[i]
        self.steps[i] += 1
        self.first[i] += 0.3 * (gradient - self.first[i])
        self.second[i] += 0.1 * (gradient**2 - self.second[i])
        first = self.first[i] / (1 - 0.7 ** self.steps[i])
        second = self.second[i] / (1 - 0.9 ** self.steps[i])
        self.values[i] -= self.rate * factor * first / (np.sqrt(second) + 1e-12)

    def state(self) -> dict:
        return {k: getattr(self, k) for k in ("values", "first", "second", "steps")}

    def restore(self, state: dict) -> None:
        for key, value in state.items():
            getattr(self, key)[:] = value


def corrected(value: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turn = rotations.matrix_from_axis_angle(value[:3] * UNIT[:3])
    return (turn @ rotation).astype(np.float32), (translation + value[3:] * UNIT[3:]).astype(np.float32)
