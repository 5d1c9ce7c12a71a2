"""Binding, rasteriser and loss on CUDA as PyTorch's differentiable steps: for fitting and for pictures.

As backend.Backend has them. They wait for the device where they must know how large something is.
"""

import numpy as np
import torch

from avatarmake.avatar.rasteriser import Camera
from avatarmake.avatar.surface import Surface
from stages.train.cuda import losses
from stages.train.cuda.rasteriser import Binder, Rasteriser


class _Bind(torch.autograd.Function):
    @staticmethod
    def forward(ctx, learned, vertices, surface):
        learned, vertices = learned.detach().contiguous(), torch.from_numpy(vertices).to(learned.device)
        binder = Binder(surface, learned.device)
        out = binder.forward(learned, vertices)
        ctx.state = binder, learned, out[2], vertices
        return tuple(out)

    @staticmethod
    def backward(ctx, *gradients):
        binder, *state = ctx.state
        return binder.backward([g.contiguous() for g in gradients], *state), None, None


class _Rasterise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, axes, opacities, colours, rotation, translation, camera, background):
        inputs = [x.detach().contiguous() for x in (means, axes, opacities, colours, rotation, translation)]
        ground = means.new_tensor(background)
        ctx.rasteriser = Rasteriser(len(means), camera, means.device)
        image = ctx.rasteriser.forward(*inputs, ground)
        while (pairs := int(ctx.rasteriser.pairs)) > ctx.rasteriser.room:
            ctx.rasteriser = Rasteriser(len(means), camera, means.device, 2 * pairs)
            image = ctx.rasteriser.forward(*inputs, ground)
        return image.clone()

    @staticmethod
    def backward(ctx, d_image):
        return *ctx.rasteriser.backward(d_image.contiguous()), None, None


class _Huber(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, picture, mouth_weight):
        planes = torch.from_numpy(planes_of(picture)).to(image.device)[None]
        which = torch.zeros(1, dtype=torch.int64, device=image.device)
        (loss, mse), ctx.gradient = losses.huber(image.detach().contiguous(), planes, which, mouth_weight)
        ctx.mark_non_differentiable(mse)
        return loss, mse

    @staticmethod
    def backward(ctx, d_loss, _):
        return ctx.gradient * d_loss, None, None


def planes_of(picture) -> np.ndarray:
    """A dataset.Picture -> (PLANES,H,W) uint8."""
    return np.concatenate([picture.pixels, picture.cover[None], picture.labels[None]])


def bind(learned: torch.Tensor, vertices: np.ndarray, surface: Surface) -> tuple[torch.Tensor, ...]:
    """As binding.bind, on the device of `learned`."""
    return _Bind.apply(learned, vertices, surface)


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
    """As rasteriser.rasterise, on the device of `means`."""
    return _Rasterise.apply(means, axes, opacities, colours, rotation, translation, camera, background)


def huber(image: torch.Tensor, picture, mouth_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    """As losses.huber, on the device of `image`."""
    return _Huber.apply(image, picture, mouth_weight)
