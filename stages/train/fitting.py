"""As fitted: how well the avatar shows an unseen frame once pose and code are looked for in that frame's own picture.

"As tracked", it is shown where the tracker put it. What lies between the two is the tracking's, and what "as fitted"
still lacks is the avatar's. Nothing of it enters the avatar: its weights stay as they are.
"""

from typing import NamedTuple

import numpy as np
import torch

from avatarmake.geometry import rotations
from stages.train.avatar import WHITE, Avatar
from stages.train.dataset import Dataset
from stages.train.poses import UNIT, corrected

STEPS = 30
POSE_RATE, CODE_RATE = 0.15, 0.05  # at first, in UNITs of a correction and in codes, whose mean square is 1
DECAY = 0.95  # of the rates, a step
BETA1, BETA2 = 0.8, 0.9


class Fit(NamedTuple):
    """Where the avatar found a frame's head: world-to-camera rotation (3,3) and translation (3,), and what it added to
    the code (K,)."""

    rotation: np.ndarray
    translation: np.ndarray
    code: np.ndarray


def fit(
    avatar: Avatar, dataset: Dataset, i: int, raw: np.ndarray, rotation: np.ndarray, translation: np.ndarray, size: int
) -> Fit:
    """Adam from the tracked camera and code `raw` of frame i, on its picture at `size` px: see losses.py."""
    device, picture = avatar.backend.device, dataset.picture(i, size)
    x = np.zeros(6 + len(avatar.network.code.components))
    first, second = np.zeros_like(x), np.zeros_like(x)
    rates = np.concatenate([np.full(6, POSE_RATE), np.full(len(x) - 6, CODE_RATE)])
    for step in range(1, STEPS + 1):
        now = _fit(x, rotation, translation)
        leaves = [torch.from_numpy(a).to(device).requires_grad_() for a in now]
        image = avatar.render(raw, dataset.vertices(i), *leaves[:2], dataset.camera(size), WHITE, leaves[2])
        loss, _ = avatar.backend.huber(image, picture, 0.0)
        d_turn, d_shift, d_code = (g.cpu().numpy().astype(np.float64) for g in torch.autograd.grad(loss, leaves))
        turn = rotations.skew(np.eye(3)) @ now.rotation.astype(np.float64)  # as in poses.Poses.step
        gradient = np.concatenate([np.concatenate([(turn * d_turn).sum((1, 2)), d_shift]) * UNIT, d_code])
        first += (1 - BETA1) * (gradient - first)
        second += (1 - BETA2) * (gradient**2 - second)
        root = np.sqrt(second / (1 - BETA2**step)) + 1e-12
        x -= rates * DECAY ** (step - 1) * first / (1 - BETA1**step) / root
    return _fit(x, rotation, translation)


def _fit(x: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> Fit:
    return Fit(*corrected(x[:6], rotation, translation), x[6:].astype(np.float32))
