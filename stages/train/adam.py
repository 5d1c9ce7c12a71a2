"""Adam (Kingma and Ba, 2015) with decoupled weight decay (Loshchilov and Hutter, 2019), as much as is needed here.

torch.optim would do, but making one imports PyTorch's compiler: seconds of every start, and 100 MB.
"""

import math

import numba as nb
import numpy as np
import torch

from avatarmake.avatar.projection import CACHE, STRICT, f4

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15
MANY = 50_000  # numbers that are worth waiting for another thread


@nb.njit(fastmath=STRICT, inline="always")
def move(i, parameter, gradient, first, second, rate, root_bias, keep):
    """One step of number i: p = keep p - rate first / (root_bias sqrt(second) + EPSILON), biases in the rates."""
    g = gradient[i]
    m = first[i] + f4(1 - BETA1) * (g - first[i])
    v = f4(BETA2) * second[i] + f4(1 - BETA2) * g * g
    first[i], second[i] = m, v
    parameter[i] = keep * parameter[i] - rate * m / (root_bias * math.sqrt(v) + f4(EPSILON))


def _move(parameter, gradient, first, second, rate, root_bias, keep):
    for i in nb.prange(len(parameter)):
        move(i, parameter, gradient, first, second, rate, root_bias, keep)


_few = nb.njit(fastmath=STRICT, cache=CACHE)(_move)
_many = nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)(_move)


class Adam:
    """Parameters, each with a rate of its own, and how much of itself it loses at that rate."""

    def __init__(self, rates: list[tuple[torch.nn.Parameter, float, float]]):
        self.rates = rates
        self.first = [torch.zeros_like(p) for p, *_ in rates]
        self.second = [torch.zeros_like(p) for p, *_ in rates]
        self.steps = 0

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One step along the parameters' gradients, which are then forgotten. `factor` scales every rate."""
        self.steps += 1
        first_bias, root_bias = 1 - BETA1**self.steps, (1 - BETA2**self.steps) ** -0.5
        for (p, rate, decay), first, second in zip(self.rates, self.first, self.second, strict=True):
            keep, rate = 1 - decay * rate * factor, rate * factor / first_bias
            if p.device.type == "cpu":
                move = _many if p.numel() >= MANY else _few
                move(*(_flat(x) for x in (p, p.grad, first, second)), f4(rate), f4(root_bias), f4(keep))
            else:
                first.lerp_(p.grad, 1 - BETA1)
                second.mul_(BETA2).addcmul_(p.grad, p.grad, value=1 - BETA2)
                p.mul_(keep).addcdiv_(first, second.sqrt().mul_(root_bias).add_(EPSILON), value=-rate)
            p.grad = None

    def state(self) -> dict:
        """On the CPU, so that any host goes on with it."""
        moments = ([x.cpu() for x in part] for part in (self.first, self.second))
        return {"steps": self.steps, **dict(zip(("first", "second"), moments, strict=True))}

    def restore(self, state: dict) -> None:
        self.steps = state["steps"]
        for mine, saved in ((self.first, state["first"]), (self.second, state["second"])):
            for a, b in zip(mine, saved, strict=True):
                a.copy_(b)


def _flat(x: torch.Tensor) -> np.ndarray:
    """A tensor's own numbers, one after the other; of a gradient that lies otherwise, a copy."""
    return x.detach().contiguous().view(-1).numpy()
