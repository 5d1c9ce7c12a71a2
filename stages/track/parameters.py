"""What is solved for in each frame: one vector of 115, its priors, and how fast it may change.

| slice | what | unit |
|---|---|---|
| EXPRESSION | 100 coefficients | standard deviations |
| JAW | axis-angle | radians |
| EYES | left pitch, left yaw, right pitch, right yaw: axis-angle without its z, an eye does not roll | radians |
| EYELIDS | left, right | 0 open, 1 closed |
| ROTATION | axis-angle w of the camera, R = exp(w) diag(1,-1,-1): zero is a frontal view | radians |
| TRANSLATION | where the camera sees the pivot (projection.pivot), the point about which ROTATION turns | metres |
"""

from dataclasses import dataclass

import numpy as np

from avatarmake.geometry import rotations
from avatarmake.geometry.cameras import FLIP

EXPRESSION, JAW, EYES, EYELIDS = slice(0, 100), slice(100, 103), slice(103, 107), slice(107, 109)
ROTATION, TRANSLATION = slice(109, 112), slice(112, 115)
N = 115


@dataclass(frozen=True)
class Priors:
    """Gaussian priors: `mean`, `precision` = 1/sigma^2 of a value, `smoothness` = 1/sigma^2 of its second difference.

    All (115,). `lid_bound` is the precision of what an eyelid exceeds 0 or 1 by.
    """

    mean: np.ndarray
    precision: np.ndarray
    smoothness: np.ndarray
    lid_bound: float


def vector(expression, jaw, eyes, eyelids, rotation, translation) -> np.ndarray:
    v = np.empty(N, np.float64)
    v[EXPRESSION], v[JAW], v[EYES], v[EYELIDS] = expression, jaw, eyes, eyelids
    v[ROTATION], v[TRANSLATION] = rotation, translation
    return v


def priors(fps: float = 25) -> Priors:
    """Sigmas by what heads do, tuned on a real and a synthetic subject; a second difference shrinks as fps squared."""
    sigma = vector(1.0, (0.25, 0.03, 0.03), 0.35, 0.5, np.inf, (np.inf,) * 3)
    change = vector(0.06, (0.025, 0.005, 0.005), 0.075, 0.25, 0.001, (0.000125, 0.000125, 0.00025))
    change *= (25 / np.clip(fps, 10, 60)) ** 2
    return Priors(np.zeros(N), sigma**-2.0, change**-2.0, lid_bound=1 / 0.03**2)


def eye_pose(p: np.ndarray) -> np.ndarray:
    """(F,115) -> (F,6) axis-angle, left first."""
    out = np.zeros((len(p), 2, 3), p.dtype)
    out[:, :, :2] = p[:, EYES].reshape(-1, 2, 2)
    return out.reshape(-1, 6)


def camera_rotation(p: np.ndarray) -> np.ndarray:
    """(F,115) -> OpenCV R (F,3,3)."""
    return rotations.matrix_from_axis_angle(p[:, ROTATION]) @ FLIP.astype(p.dtype)


def camera(p: np.ndarray, pivot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F,115) -> OpenCV R (F,3,3), t (F,3) of the head model's own coordinates."""
    r = camera_rotation(p)
    return r, p[:, TRANSLATION] - r @ pivot


def set_camera(p: np.ndarray, r: np.ndarray, t: np.ndarray, pivot: np.ndarray) -> None:
    p[:, ROTATION], p[:, TRANSLATION] = rotations.axis_angle_from_matrix(r @ FLIP), t + r @ pivot
