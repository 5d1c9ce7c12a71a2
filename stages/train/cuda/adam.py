"""Adam on CUDA: stages/train/adam.py says what is computed. Rates lie on the device, where a CUDA graph finds them."""

import torch
from numba import cuda

from avatarmake.avatar.cuda.kernel import Kernel
from avatarmake.avatar.projection import f4
from stages.train.adam import BETA1, BETA2, Adam, move


@Kernel
def step(parameter, gradient, first, second, now, rate, decay):
    """A thread a number. now (3,): the schedule's factor, and Adam's two biases: see `now`."""
    i = cuda.grid(1)
    if i < parameter.shape[0]:
        keep = f4(1) - decay * rate * now[0]
        move(i, parameter, gradient, first, second, rate * now[0] * now[1], now[2], keep)


def now(steps: int, factor: float) -> tuple[float, float, float]:
    """What the step after `steps` others needs: the factor of its rates, 1 / its first bias, the root of the second."""
    return factor, 1 / (1 - BETA1 ** (steps + 1)), (1 - BETA2 ** (steps + 1)) ** -0.5


def launch(adam: Adam, gradients: list[torch.Tensor], now: torch.Tensor) -> None:
    """One step of all parameters; `adam.steps` is the caller's."""
    for (p, rate, decay), gradient, first, second in zip(adam.rates, gradients, adam.first, adam.second, strict=True):
        flat = (x.detach().contiguous().view(-1) for x in (p, gradient, first, second))
        step.each(p.numel(), *flat, now, f4(rate), f4(decay))
