"""Adam (Kingma and Ba, 2015), as much of it as is needed here.

torch.optim would do, but making one imports PyTorch's compiler: seconds of every start, and 100 MB.
"""

import torch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15


class Adam:
    """Parameters, each with a rate of its own."""

    def __init__(self, rates: list[tuple[torch.nn.Parameter, float]]):
        self.rates = rates
        self.first = [torch.zeros_like(p) for p, _ in rates]
        self.second = [torch.zeros_like(p) for p, _ in rates]
        self.steps = 0

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One step along the parameters' gradients, which are then forgotten. `factor` scales every rate."""
        self.steps += 1
        first_bias, second_bias = 1 - BETA1**self.steps, 1 - BETA2**self.steps
        for (p, rate), first, second in zip(self.rates, self.first, self.second, strict=True):
            first.lerp_(p.grad, 1 - BETA1)
            second.mul_(BETA2).addcmul_(p.grad, p.grad, value=1 - BETA2)
            root = second.sqrt().mul_(second_bias**-0.5).add_(EPSILON)
            p.addcdiv_(first, root, value=-rate * factor / first_bias)
            p.grad = None

    def state(self) -> dict:
        return {"steps": self.steps, "first": self.first, "second": self.second}

    def restore(self, state: dict) -> None:
        self.steps = state["steps"]
        for mine, saved in ((self.first, state["first"]), (self.second, state["second"])):
            for a, b in zip(mine, saved, strict=True):
                a.copy_(b)
