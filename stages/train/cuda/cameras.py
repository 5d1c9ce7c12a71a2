"""The cameras' corrections on CUDA: stages/train/poses.py says what they are. In float32; the CPU has them in float64.

Two kernels of one warp, so that a step's camera is not two dozen launches.
"""

import math

import numba as nb
import numpy as np
import torch
from numba import cuda, float32

from avatarmake.avatar.correction import UNIT
from avatarmake.avatar.cuda.kernel import Kernel
from avatarmake.avatar.projection import STRICT, f4
from stages.train.poses import OWN_BETAS, SHARED_BETAS, Poses

WARP = 32
TURN, SHIFT = float(UNIT[0]), float(UNIT[3])


@Kernel
def correct(frame, codes, own, shared, rotations, translations, rotation, translation):
    """frame (1,): its camera, corrected -> rotation (3,3), translation (3,). By Rodrigues' formula."""
    value = cuda.shared.array(6, float32)
    c, i = cuda.threadIdx.x, frame[0]
    if c < 6:
        total = own[i, c]
        for k in range(codes.shape[1]):
            total += shared[c, k] * codes[i, k]
        value[c] = total * f4(TURN) if c < 3 else total * f4(SHIFT)
    cuda.syncthreads()  # all six are there before anybody reads them
    if c < 3:
        x, y, z = value[0], value[1], value[2]
        angle2 = x * x + y * y + z * z
        # sin(a)/a and (1 - cos a)/a^2 by their series, to 1e-7 up to a radian: what corrects is a hundredth of that
        s = f4(1) + angle2 * (f4(-1 / 6) + angle2 * (f4(1 / 120) + angle2 * (f4(-1 / 5040) + angle2 * f4(1 / 362880))))
        h = f4(-1 / 40320) + angle2 * f4(1 / 3628800)
        h = f4(0.5) + angle2 * (f4(-1 / 24) + angle2 * (f4(1 / 720) + angle2 * h))
        a, b, d = rotations[i, 0, c], rotations[i, 1, c], rotations[i, 2, c]  # column c: v + s w x v + h w x (w x v)
        p, q, r = y * d - z * b, z * a - x * d, x * b - y * a
        rotation[0, c] = a + s * p + h * (y * r - z * q)
        rotation[1, c] = b + s * q + h * (z * p - x * r)
        rotation[2, c] = d + s * r + h * (x * q - y * p)
        translation[c] = translations[i, c] + value[3 + c]


@nb.njit(fastmath=STRICT)
def _adam(value, first, second, i, j, gradient, betas, count, rate):
    b1, b2 = f4(betas[0]), f4(betas[1])
    m = first[i, j] + (f4(1) - b1) * (gradient - first[i, j])
    v = second[i, j] + (f4(1) - b2) * (gradient * gradient - second[i, j])
    first[i, j], second[i, j] = m, v
    root = math.sqrt(v / (f4(1) - math.pow(b2, count))) + f4(1e-12)
    value[i, j] -= rate * m / (f4(1) - math.pow(b1, count)) / root


@Kernel
def teach(
    frame, rotation, d_rotation, d_translation, codes, factor, rate, shared_rate,
    own, own_first, own_second, shared, shared_first, shared_second, steps, total,
):  # fmt: skip
    """One Adam step of a frame's own part, by its first six threads, and of the shared one, a thread a column."""
    i, k = frame[0], cuda.threadIdx.x
    turn = cuda.local.array(6, float32)
    turn[0], turn[1], turn[2] = f4(0), f4(0), f4(0)
    for c in range(3):  # d R / d w_k = skew(e_k) R
        turn[0] += rotation[1, c] * d_rotation[2, c] - rotation[2, c] * d_rotation[1, c]
        turn[1] += rotation[2, c] * d_rotation[0, c] - rotation[0, c] * d_rotation[2, c]
        turn[2] += rotation[0, c] * d_rotation[1, c] - rotation[1, c] * d_rotation[0, c]
    for c in range(3):
        turn[c], turn[3 + c] = turn[c] * f4(TURN), d_translation[c] * f4(SHIFT)
    count, of_all = f4(steps[i] + 1), f4(total[0] + 1)
    cuda.syncthreads()  # the counts are read before they change
    if k == 0:
        steps[i] += 1
        total[0] += 1
    for c in range(6):
        if k == c:
            _adam(own, own_first, own_second, i, c, turn[c], OWN_BETAS, count, rate * factor[0])
        if k < codes.shape[1]:
            gradient = turn[c] * codes[i, k]
            _adam(shared, shared_first, shared_second, c, k, gradient, SHARED_BETAS, of_all, shared_rate * factor[0])


class Cameras:
    """A video's cameras and their corrections on the device."""

    STATE = ("own", "own_first", "own_second", "shared", "shared_first", "shared_second")

    def __init__(self, poses: Poses, rotation: np.ndarray, translation: np.ndarray, device: torch.device):
        self.poses, self.device = poses, device
        given = (poses.codes, rotation, translation)
        self.codes, self.rotations, self.translations = (self._tensor(x) for x in given)
        self.rotation, self.translation = torch.zeros(3, 3, device=device), torch.zeros(3, device=device)
        self.learned = [self._tensor(getattr(poses, name)) for name in self.STATE]
        self.steps = torch.from_numpy(poses.steps.astype(np.int32)).to(device)
        self.total = self.steps.sum(dtype=torch.int32)[None]

    def of(self, frame: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """frame (1,) int64 -> rotation (3,3), translation (3,), which the next call overwrites."""
        own, shared = self.learned[0], self.learned[3]
        into = (self.rotation, self.translation)
        correct(1, WARP, frame, self.codes, own, shared, self.rotations, self.translations, *into)
        return into

    def step(self, frame, d_rotation, d_translation, factor: torch.Tensor) -> None:
        """Adam, from the gradients by what `of` gave for that frame."""
        rates = (factor, f4(self.poses.rate), f4(self.poses.shared_rate))
        given = (frame, self.rotation, d_rotation.contiguous(), d_translation.contiguous(), self.codes, *rates)
        teach(1, WARP, *given, *self.learned, self.steps, self.total)

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that a step changes."""
        return [*self.learned, self.steps, self.total]

    def push(self) -> None:
        """From the poses to the device."""
        for tensor, name in zip(self.learned, self.STATE, strict=True):
            tensor.copy_(self._tensor(getattr(self.poses, name)))
        self.steps.copy_(torch.from_numpy(self.poses.steps.astype(np.int32)))
        self.total.fill_(int(self.poses.steps.sum()))

    def pull(self) -> None:
        """And back, where checkpoints and unseen frames find them."""
        arrays = {n: x.cpu().numpy().astype(np.float64) for n, x in zip(self.STATE, self.learned, strict=True)}
        self.poses.restore(arrays | {"steps": self.steps.cpu().numpy().astype(np.int64)})

    def _tensor(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)
