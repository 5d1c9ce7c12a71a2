"""A head that moves, seen by a detector that makes no mistakes: landmarks of the head model itself."""

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.geometry import cameras, rotations

SIZE = (640, 480)
FOCAL = 800.0
RATE = 25.0


class Moving:
    """Frame k of a face that talks, blinks, smiles and turns; `lost` are frames in which it is not seen."""

    def __init__(self, frames: int, lost: range = range(0)):
        self.head = head_model.load("open")
        t = np.arange(frames) / RATE
        talk = np.clip(t - 1.2, 0, 1)  # at rest for the first second
        rng = np.random.default_rng(4)
        self.shape = (0.5 * rng.normal(size=300)).astype(np.float32)
        self.expression = np.zeros((frames, 100), np.float32)
        self.expression[:, 0] = talk * np.sin(2.1 * t)
        self.expression[:, 5] = talk * np.cos(1.3 * t)
        self.jaw_pose = np.zeros((frames, 3), np.float32)
        self.jaw_pose[:, 0] = talk * (0.12 + 0.12 * np.sin(5 * t))
        self.eyelids = np.repeat((talk * (np.sin(1.7 * t) > 0.93))[:, None], 2, 1).astype(np.float32)
        turn = np.stack([0.1 * np.sin(0.7 * t), 0.35 * talk * np.sin(t), 0.05 * np.sin(0.9 * t)], 1)
        self.R = (cameras.FLIP @ rotations.matrix_from_axis_angle(turn)).astype(np.float32)
        middle = self.head.v_template.mean(0)
        self.t = np.array([0, 0, 0.7], np.float32) - self.R @ middle
        v = self.head.vertices(self.shape, self.expression, self.jaw_pose, eyelids=self.eyelids)
        k = cameras.intrinsics_from_focal(FOCAL, SIZE)
        seen = cameras.project(self.head.landmarks(v), self.R, self.t, k)
        self.landmarks = seen + rng.normal(size=seen.shape) * 0.3
        self.lost, self.asked = lost, 0

    def __len__(self) -> int:
        return len(self.t)

    def detect(self, image: np.ndarray) -> np.ndarray | None:
        """Frames come one after the other, whatever the picture is."""
        k, self.asked = self.asked, self.asked + 1
        return None if k in self.lost else self.landmarks[k]


IMAGE = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


@pytest.fixture(scope="session")
def moving() -> Moving:
    return Moving(300, lost=range(200, 210))
