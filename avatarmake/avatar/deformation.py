"""What a frame's parameters do to the Gaussians: the code, and the low-rank network that it writes. numba, float32.

    code    = clamp(components (raw - mean), range)
    W, b    = layer(relu(hidden(code)))
    learned = base + SHARE out(relu(latent W + b))

Trained in stages/train/network.py, which is the same in PyTorch; tests/avatar holds the two against each other. The
sums are in a fixed order and of no BLAS, so that they do not depend on the number of threads.
"""

from typing import NamedTuple

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE, STRICT, f4

SHARE = 0.3  # the network's steps are smaller than those of the base
UNITS = {"expression": 1.0, "jaw_pose": 5.0, "eye_pose": 2.0, "eyelids": 1.0, "view": 3.0}  # brings all to about one
BLOCK = 256  # Gaussians that a thread takes at once


def raw_code(
    expression: np.ndarray, jaw_pose: np.ndarray, eye_pose: np.ndarray, eyelids: np.ndarray, view: np.ndarray
) -> np.ndarray:
    """(...,100), (...,3), (...,6), (...,2), (...,3) -> (...,114), each group in its unit."""
    groups = (expression, jaw_pose, eye_pose, eyelids, view)
    return np.concatenate([g * unit for g, unit in zip(groups, UNITS.values(), strict=True)], -1)


class Deformation(NamedTuple):
    """N Gaussians, raw codes of D = 114 numbers, K = 32 components; all float32.

    The arrays are the checkpoint's, with the last one as `learned` needs it: out = SHARE times the weight, transposed.
    """

    mean: np.ndarray  # (D,)
    components: np.ndarray  # (K,D)
    range: np.ndarray  # (2,K): lowest and highest
    hidden_weight: np.ndarray  # (64,K)
    hidden_bias: np.ndarray  # (64,)
    layer_weight: np.ndarray  # (16*32 + 32, 64): W row by row, then b
    layer_bias: np.ndarray  # (16*32 + 32,)
    latent: np.ndarray  # (N,16)
    base: np.ndarray  # (N,14)
    out: np.ndarray  # (32,14)

    @classmethod
    def of(cls, network: dict[str, np.ndarray]) -> "Deformation":
        """From the part `network` of a checkpoint. Raises KeyError for what it lacks."""
        names = ("code.mean", "code.components", "code.range", "hidden.weight", "hidden.bias")
        names += ("layer.weight", "layer.bias", "latent", "base")
        out = np.ascontiguousarray(network["out.weight"].T * f4(SHARE))
        return cls(*(np.ascontiguousarray(network[name], np.float32) for name in names), out)

    def code(self, raw: np.ndarray) -> np.ndarray:
        """raw (D,) -> (K,), kept within what training saw."""
        return np.clip(self.unbounded(raw), *self.range)

    def unbounded(self, raw: np.ndarray) -> np.ndarray:
        """raw (D,) -> (K,): the code before it is kept within `range`."""
        return (self.components * (raw - self.mean)).sum(1)

    def learned(self, raw: np.ndarray) -> np.ndarray:
        """raw (D,) float32 -> (N,14), as binding.bind takes it."""
        first = np.maximum((self.hidden_weight * self.code(raw)).sum(1) + self.hidden_bias, 0)
        layer = (self.layer_weight * first).sum(1) + self.layer_bias
        rank, width = self.latent.shape[1], len(self.out)
        weights, bias = layer[: rank * width].reshape(rank, width), layer[rank * width :]
        return _learned(self.base, self.latent, weights, bias, self.out)


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def _learned(base, latent, weights, bias, out):
    """base (N,C) + relu(latent (N,L) weights (L,H) + bias (H,)) out (H,C) -> (N,C)."""
    n, columns = base.shape
    rank, width = weights.shape
    result = np.empty((n, columns), np.float32)
    for block in nb.prange((n + BLOCK - 1) // BLOCK):
        features, row = np.empty(width, np.float32), np.empty(columns, np.float32)
        for g in range(block * BLOCK, min((block + 1) * BLOCK, n)):
            for j in range(np.uint64(width)):
                features[j] = bias[j]
            for k in range(rank):
                factor = latent[g, k]
                for j in range(np.uint64(width)):
                    features[j] += factor * weights[k, j]
            for c in range(np.uint64(columns)):
                row[c] = base[g, c]
            for k in range(width):
                factor = max(features[k], f4(0))
                for c in range(np.uint64(columns)):
                    row[c] += factor * out[k, c]
            for c in range(np.uint64(columns)):
                result[g, c] = row[c]
    return result
