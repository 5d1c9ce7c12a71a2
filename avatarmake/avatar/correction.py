"""A small rigid correction of a camera: what training found a tracker to be off by, learned for each of its frames.

Six numbers in UNITs: a rotation vector about the head's origin and a translation, both in camera axes. A tracker errs
alike where the face and its view are alike, so what is to be expected of any frame is told by the training frames of
like codes: the mean of a Gaussian process over their corrections (Rasmussen and Williams, 2006, eq. 2.23), which far
from them goes back to their mean.
"""

from functools import cached_property

import numpy as np

from avatarmake.geometry import rotations

UNIT = np.array([0.01] * 3 + [0.001] * 3)  # radians, metres: about 1 px each at 512
REACH = 0.6  # of the median distance between codes: how far alike goes
NOISE = 0.1  # variance of a correction's error, in that of the corrections
WITNESSES = 800  # training frames that speak for others, at most: their number squared is kept


class Witnesses:
    """Training frames by their codes (W,K), and what corrections of theirs say of another frame."""

    def __init__(self, codes: np.ndarray):
        self.codes = codes

    def weights(self, corrections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Their corrections (W,6) -> the mean (6,), and each one's weight (W,6)."""
        mean = corrections.mean(0)
        return mean, self._precision @ (corrections - mean)

    def expected(self, code: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(6,) correction of a frame of this code (K,)."""
        alike = self._alike(code[None], self.codes)[0]
        return np.round(mean + alike @ weights, 6)  # BLAS rounds by alignment: a resumed run must not differ

    @cached_property
    def _reach(self) -> float:
        return REACH * float(np.sqrt(np.median(_squared_distances(self.codes, self.codes)))) or 1.0

    @cached_property
    def _precision(self) -> np.ndarray:
        """(W,W): inverse of the witnesses' covariance, noise included."""
        return np.linalg.inv(self._alike(self.codes, self.codes) + NOISE * np.eye(len(self.codes)))

    def _alike(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(A,K), (B,K) codes -> (A,B): 1 where they are equal, 0 far apart."""
        return np.exp(-_squared_distances(a, b) / (2 * self._reach**2))


class Corrections:
    """What an avatar's training found its cameras to be off by, for frames of any code.

    poses: that part of a checkpoint; codes (F,K) of the dataset's frames, those that were trained on among them.
    """

    def __init__(self, poses: dict[str, np.ndarray], codes: np.ndarray):
        trained = np.flatnonzero(poses["steps"] > 0)
        trained = trained[:: -(-len(trained) // WITNESSES)] if len(trained) else np.arange(len(codes))
        codes = codes.astype(np.float64)
        self._witnesses = Witnesses(codes[trained])
        learned = poses["own"][trained] + codes[trained] @ poses["shared"].T
        self._taught = self._witnesses.weights(learned)

    def expected(self, code: np.ndarray) -> np.ndarray:
        """code (K,) -> (6,)."""
        return self._witnesses.expected(code.astype(np.float64), *self._taught)


def corrected(value: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(6,) put on world-to-camera R (3,3), t (3,); float32."""
    turn = rotations.matrix_from_axis_angle(value[:3] * UNIT[:3])
    return (turn @ rotation).astype(np.float32), (translation + value[3:] * UNIT[3:]).astype(np.float32)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(A,K), (B,K) -> (A,B)."""
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0)
