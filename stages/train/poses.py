"""A small rigid correction of each frame's camera: it wins back what the tracker's bias and jitter cost.

Six numbers a frame: a rotation vector about the head's origin and a translation, both in camera axes. They are the sum
of two parts. One is a linear function of the expression's code, shared by all frames: a detector errs alike where the
face and its view are alike, and what all frames teach is learned in a few epochs. The other is a frame's own.

An unseen frame is never judged with what its own picture would say. It gets what frames of like codes got
(avatarmake/avatar/correction.py), which far from them is their mean. The shared part alone would go on growing there.
"""

from functools import cached_property

import numpy as np

from avatarmake.avatar.correction import UNIT, WITNESSES, Witnesses, corrected
from avatarmake.geometry import rotations

OWN_BETAS, SHARED_BETAS = (0.7, 0.9), (0.9, 0.99)  # of Adam: a frame is seen once in an epoch only


class Poses:
    """Corrections in UNITs for frames with codes (F,K): `shared` (6,K) @ code + `own` (F,6) for those in `train`.

    Each frame's own part has its own Adam, because a frame is seen once in an epoch only.
    """

    def __init__(self, codes: np.ndarray, train: tuple[int, ...], rate: float, shared_rate: float):
        self.codes, self.train, self.rate, self.shared_rate = codes.astype(np.float64), train, rate, shared_rate
        self._seen = frozenset(train)
        frames, size = codes.shape
        self.own, self.shared = np.zeros((frames, 6)), np.zeros((6, size))
        self.own_first, self.own_second = np.zeros((frames, 6)), np.zeros((frames, 6))
        self.shared_first, self.shared_second = np.zeros((6, size)), np.zeros((6, size))
        self.steps = np.zeros(frames, np.int64)
        self._taught: tuple[np.ndarray, np.ndarray] | None = None  # the mean, and each witness's weight

    def camera(self, i: int, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World-to-camera (3,3), (3,) of frame i -> the same, corrected, float32."""
        return corrected(self.learned(i) if i in self._seen else self.expected(i), rotation, translation)

    def learned(self, i: int) -> np.ndarray:
        """(6,) correction of a training frame."""
        return self.own[i] + (self.shared * self.codes[i]).sum(1)

    def expected(self, i: int) -> np.ndarray:
        """(6,) correction of any frame, from the training frames of like codes."""
        if self._taught is None:
            self._taught = self._witnesses.weights(np.stack([self.learned(k) for k in self._speaking]))
        return self._witnesses.expected(self.codes[i], *self._taught)

    @cached_property
    def _speaking(self) -> list[int]:
        return list(self.train[:: -(-len(self.train) // WITNESSES)])

    @cached_property
    def _witnesses(self) -> Witnesses:
        return Witnesses(self.codes[self._speaking])

    def step(
        self, i: int, rotation: np.ndarray, d_rotation: np.ndarray, d_translation: np.ndarray, factor: float
    ) -> None:
        """One Adam step of both parts, from the gradients by frame i's corrected camera. Corrections are small, so that
        the derivative of the rotation is taken where it is: d R / d r_k = skew(e_k) R."""
        turn = rotations.skew(np.eye(3)) @ rotation.astype(np.float64)
        gradient = np.concatenate([(turn * d_rotation).sum((1, 2)), d_translation.astype(np.float64)]) * UNIT
        self._taught = None
        self.steps[i] += 1
        change = _adam(self.own_first[i], self.own_second[i], gradient, *OWN_BETAS, self.steps[i])
        self.own[i] -= self.rate * factor * change
        outer = gradient[:, None] * self.codes[i]
        change = _adam(self.shared_first, self.shared_second, outer, *SHARED_BETAS, self.steps.sum())
        self.shared -= self.shared_rate * factor * change

    def state(self) -> dict:
        return {k: getattr(self, k) for k in STATE}

    def restore(self, state: dict) -> None:
        self._taught = None
        for key, value in state.items():
            getattr(self, key)[:] = value


STATE = ("own", "own_first", "own_second", "shared", "shared_first", "shared_second", "steps")


def _adam(first: np.ndarray, second: np.ndarray, gradient: np.ndarray, b1: float, b2: float, step: int) -> np.ndarray:
    """Moments, updated in place -> the step in units of the rate."""
    first += (1 - b1) * (gradient - first)
    second += (1 - b2) * (gradient**2 - second)
    return first / (1 - b1**step) / (np.sqrt(second / (1 - b2**step)) + 1e-12)
