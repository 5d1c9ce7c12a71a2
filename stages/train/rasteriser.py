"""The CPU rasteriser (avatarmake/avatar/rasteriser.py) as a differentiable step."""

import numpy as np
import torch

from avatarmake.avatar import rasteriser
from avatarmake.avatar.rasteriser import Camera


class _Rasterise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, axes, opacities, colours, rotation, translation, camera, background):
        inputs = [x.detach().contiguous().numpy() for x in (means, axes, opacities, colours, rotation, translation)]
        ctx.drawn = rasteriser.rasterise(*inputs, camera, background)
        return torch.from_numpy(ctx.drawn.image)

    @staticmethod
    def backward(ctx, d_image):
        gradients = rasteriser.rasterise_backward(np.ascontiguousarray(d_image.numpy()), ctx.drawn)
        return *(torch.from_numpy(g) for g in gradients), None, None


def rasterise(
    means: torch.Tensor,
    axes: torch.Tensor,
    opacities: torch.Tensor,
    colours: torch.Tensor,
    rotation: torch.Tensor,
    translation: torch.Tensor,
    camera: Camera,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """Gaussians -> image (4,H,W) float32: RGB over `background`, and alpha. Differentiable in every tensor.

    Shapes and units as the kernels' own. All float32 on the CPU.
    """
    return _Rasterise.apply(means, axes, opacities, colours, rotation, translation, camera, background)
