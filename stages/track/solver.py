"""Levenberg-Marquardt over a run of frames at once: landmarks, priors, and a smooth course over time.

Minimises over p (F,115), for a known shape and focal length,

    sum_f sum_l trust_l rho(|uv_l(p_f) - z_fl|^2 / unit^2)     landmarks; rho is Geman-McClure's
    + sum_f precision . (p_f - mean)^2 + lid bounds            priors
    + sum_f smoothness . (p_f-1 - 2 p_f + p_f+1)^2             second difference, where three frames follow each other

The normal equations are block diagonal but for the last term, whose blocks are diagonal: conjugate gradients solve
them, with 115 x 115 numbers a frame and nothing larger. Robust weights by iterative reweighting, held during a step.
"""

from dataclasses import dataclass

import numpy as np

from stages.track import parameters as P
from stages.track.projection import Projection

GEMAN = 4.0  # in units: residuals well beyond it are outliers


@dataclass
class Solution:
    p: np.ndarray  # (F,115)
    cost: float
    iterations: int


class FrameSolver:
    """Solves runs of frames of one person. `unit`: the landmarks' noise in px; `trust` (L,): relative precisions."""

    def __init__(self, projection: Projection, trust: np.ndarray, unit: float, priors: P.Priors):
        d = projection.dtype
        self.projection, self.unit, self.trust, self.priors = projection, d(unit), trust.astype(d), priors
        self.mean, self.precision = priors.mean.astype(d), priors.precision.astype(d)
        self.smoothness, self.lid_bound = priors.smoothness.astype(d), d(priors.lid_bound)

    def solve(self, start: np.ndarray, target: np.ndarray, numbers: np.ndarray, most: int = 12, tol: float = 3e-3):
        """start (F,115), target (F,L,2) px, numbers (F,) frame numbers, ascending -> Solution."""
        second = second_difference(numbers).astype(self.projection.dtype)
        bend = second.T @ second
        p = start.astype(self.projection.dtype)
        cost, damping, done, precondition = self.cost(p, target, second), 1e-3, 0, None
        while done < most:
            h, g = self._system(p, target, bend, damping)
            if done % 3 == 0:  # a preconditioner serves some steps: inverting costs as much as all the rest of one
                precondition = MeanFrame(h, bend, self.smoothness)
            step = conjugate_gradients(h, bend, self.smoothness, g, precondition)
            done += 1
            new = self.cost(p + step, target, second)
            if new < cost:
                gain = (cost - new) / cost
                p, cost, damping = p + step, new, max(damping * 0.1, 1e-6)
                if gain < tol:
                    break
            else:
                damping *= 20
                if damping > 1e6:
                    break
        return Solution(p, cost, done)

    def cost(self, p: np.ndarray, target: np.ndarray, second: np.ndarray) -> float:
        r2 = (((self.projection.uv(p) - target) / self.unit) ** 2).sum(-1)
        data = (self.trust * r2 / (1 + r2 / GEMAN**2)).sum(dtype=np.float64)
        prior = (self.precision * (p - self.mean) ** 2).sum(dtype=np.float64)
        prior += self.lid_bound * (beyond(p[:, P.EYELIDS]) ** 2).sum(dtype=np.float64)
        # the differences first: p . bend p would lose them in float32's rounding
        return float(data + prior + (self.smoothness * (second @ p) ** 2).sum(dtype=np.float64))

    def equations(self, p: np.ndarray, target: np.ndarray, uv: np.ndarray, jac: np.ndarray):
        """Normal equations of landmarks and priors: H (F,115,115), g (F,115), and the weighted Jacobian and residual.

        Jw (F,2L,115), rw (F,2L) are what the shape's equations need again.
        """
        r = (target - uv) / self.unit
        robust = 1 / (1 + (r**2).sum(-1) / GEMAN**2)  # the square root of Geman-McClure's weight
        w = robust * np.sqrt(self.trust)
        jw = (jac * (w / self.unit)[..., None, None]).reshape(len(p), -1, P.N)
        rw = (r * w[..., None]).reshape(len(p), -1)
        h = jw.swapaxes(1, 2) @ jw
        g = (rw[:, None] @ jw)[:, 0] - self.precision * (p - self.mean)
        diagonal = np.einsum("fii->fi", h)
        diagonal += self.precision
        lids = beyond(p[:, P.EYELIDS])
        diagonal[:, P.EYELIDS] += self.lid_bound * (lids != 0)
        g[:, P.EYELIDS] -= self.lid_bound * lids
        return h, g, jw, rw, w

    def _system(self, p: np.ndarray, target: np.ndarray, bend: np.ndarray, damping: float):
        """Damped diagonal blocks (F,115,115) and right side (F,115) of a step; `bend` ties the blocks."""
        h, g, *_ = self.equations(p, target, *self.projection.uv_jacobian(p))
        diagonal = np.einsum("fii->fi", h)
        diagonal *= 1 + damping
        return h, g - self.smoothness * (bend @ p)


def beyond(lids: np.ndarray) -> np.ndarray:
    """By how much an eyelid is beyond open (negative) or closed (positive)."""
    return np.minimum(lids, 0) + np.maximum(lids - 1, 0)


def second_difference(numbers: np.ndarray) -> np.ndarray:
    """(F,) frame numbers, ascending -> (T,F) float64: rows 1, -2, 1 over each three successive frames."""
    n = np.asarray(numbers)
    first = np.flatnonzero(n[2:] - n[:-2] == 2) if len(n) > 2 else np.zeros(0, int)
    d = np.zeros((len(first), len(n)))
    rows = np.arange(len(first))
    d[rows, first], d[rows, first + 1], d[rows, first + 2] = 1, -2, 1
    return d


class MeanFrame:
    """Preconditioner: solves the system exactly as if every frame's block were their mean.

    With bend = Q diag(e) Q^T the system then falls apart into mean + e_k diag(smoothness), one for each k.
    """

    def __init__(self, h: np.ndarray, bend: np.ndarray, smoothness: np.ndarray):
        e, q = np.linalg.eigh(bend.astype(np.float64))
        blocks = np.repeat(h.mean(0)[None], len(h), 0)
        diagonal = np.einsum("fii->fi", blocks)
        diagonal += np.maximum(e, 0).astype(h.dtype)[:, None] * smoothness
        self.q, self.inverse = q.astype(h.dtype), np.linalg.inv(blocks)

    def __call__(self, r: np.ndarray) -> np.ndarray:
        """(F,n) -> (F,n)."""
        return self.q @ (self.inverse @ (self.q.T @ r)[..., None])[..., 0]


def conjugate_gradients(h, bend, smoothness, g, precondition, most: int = 60, tol: float = 1e-2) -> np.ndarray:
    """Solve (blockdiag(h) + bend x diag(smoothness)) x = g: h (F,n,n), bend (F,F), smoothness (n,), g (F,n).

    `tol` is relative, in the preconditioner's norm.
    """

    def dot(a, b):
        return g.dtype.type((a * b).sum(dtype=np.float64))

    x, r = np.zeros_like(g), g
    z = precondition(r)
    d, rz = z, dot(r, z)
    enough = tol**2 * rz
    for _ in range(most):
        hd = (h @ d[..., None])[..., 0] + smoothness * (bend @ d)
        a = rz / dot(d, hd)
        x, r = x + a * d, r - a * hd
        z = precondition(r)
        rz, before = dot(r, z), rz
        if not rz > enough:
            break
        d = z + (rz / before) * d
    return x
