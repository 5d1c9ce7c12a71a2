"""What an expression does to the Gaussians: a low-rank network that the expression itself writes.

    learned = base + SHARE out(relu(latent W(code) + b(code)))

Every Gaussian has a base and a latent of 16 numbers; a small network turns the expression's code into W (16 x 32) and b
(32). It costs 3 ms where FlashAvatar's 6 x 256 MLP costs 371 on the same 2 cores, and does better on unseen frames.

What is trained here is used without PyTorch in avatarmake/avatar/deformation.py: who changes the one changes the other.
"""

import numpy as np
import torch
from torch import nn

from avatarmake.avatar.binding import COLUMNS
from avatarmake.avatar.deformation import SHARE, raw_code

LATENT, HIDDEN, WIDTH = 16, 32, 64
COMPONENTS = 32  # of the code, at most
MARGIN = 0.1


class Code(nn.Module):
    """expression, jaw, eyes, eyelids and view -> the network's input: principal components over the training frames.

    The view is how the head is turned to the camera: light stays where it is and the neck does not turn along, so that
    both follow from it. It counts at the end of a real video, where the head turns as nowhere before.

    Directions that no training frame took are dropped, and along the others a code stops at the edge of what was
    seen (and MARGIN of its width beyond): the network has learned nothing about what lies outside.
    """

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("components", torch.zeros(COMPONENTS, size))
        self.register_buffer("range", torch.zeros(2, COMPONENTS))

    raw = staticmethod(raw_code)

    def fit(self, raw: np.ndarray) -> None:
        """Principal components of the training frames (F,114), scaled so that the codes' mean square is 1."""
        mean = raw.mean(0, dtype=np.float64)
        _, s, vt = np.linalg.svd(raw - mean, full_matrices=False)
        sign = np.sign(vt[np.arange(len(vt)), np.abs(vt).argmax(1)])  # one of two equal answers
        keep = (s > 1e-3 * max(s[0], 1e-9))[:COMPONENTS]
        variance = (s[:COMPONENTS][keep] ** 2).sum() / max(len(raw), 1)
        scale = 1 / np.sqrt(max(variance / max(keep.sum(), 1), 1e-8))
        rows = (vt * sign[:, None])[:COMPONENTS][keep] * scale
        self.mean.copy_(torch.from_numpy(mean))
        self.components.zero_()
        self.components[: len(rows)] = torch.from_numpy(rows)
        seen = (raw - mean) @ rows.T
        margin = MARGIN * (seen.max(0) - seen.min(0))
        self.range[:, : len(rows)] = torch.from_numpy(np.stack([seen.min(0) - margin, seen.max(0) + margin]))

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        return torch.clamp(self.components @ (raw - self.mean), *self.range)


class Deformation(nn.Module):
    """The avatar's learned part: everything that a checkpoint holds besides the surface."""

    def __init__(self, gaussians: int, code: int):
        super().__init__()
        self.code = Code(code)
        self.base = nn.Parameter(torch.zeros(gaussians, COLUMNS))
        self.latent = nn.Parameter(torch.randn(gaussians, LATENT) * 0.3)
        self.hidden = nn.Linear(COMPONENTS, WIDTH)
        self.layer = nn.Linear(WIDTH, LATENT * HIDDEN + HIDDEN)
        self.out = nn.Linear(HIDDEN, COLUMNS, bias=False)  # the base is its bias
        nn.init.zeros_(self.out.weight)  # at the start every frame is its base

    def forward(self, raw: torch.Tensor, shift: torch.Tensor | None = None) -> torch.Tensor:
        """raw code (114,) -> learned (N,COLUMNS), as binding.bind takes it. `shift` (COMPONENTS,) is added to what the
        raw code comes to."""
        code = self.code(raw) if shift is None else self.code(raw) + shift
        layer = self.layer(torch.relu(self.hidden(code)))
        weights, bias = layer[: LATENT * HIDDEN].view(LATENT, HIDDEN), layer[LATENT * HIDDEN :]
        features = torch.relu(torch.addmm(bias, self.latent, weights))
        return torch.addmm(self.base, features, self.out.weight.T * SHARE)
