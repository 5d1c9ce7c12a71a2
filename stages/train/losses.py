"""How far a rendered image is from the photograph: FlashAvatar's Huber loss, with the mouth counted again, and alpha's.

    mean(huber(d)) + mouth_weight mean(mouth huber(d)) + ALPHA mean(huber(d_alpha)),
    huber(d) = d^2/2 where |d| < 0.1, else 0.1 (|d| - 0.05)

Means are over all pixels and channels, as in FlashAvatar's train.py. That has no alpha in its loss: whatever looks
white over white is right there, and an avatar has a white rim over any other ground. One kernel reads uint8 pixels and
gives loss and gradient; `huber_torch` is the same in plain torch, for CUDA and to check it.
"""

import numba as nb
import numpy as np
import torch

from avatarmake.avatar.projection import CACHE, f4

DELTA = 0.1
ALPHA = 0.15  # more, and the colours get worse; less, and so does what is seen over other grounds
MOUTH, HEAD = 1, 2  # bits of `labels`


@nb.njit(fastmath=True, inline="always")
def difference(value, pixel):
    """A value in 0..1 and a pixel of 8 bits -> the difference, and the same within DELTA: its Huber loss's slope."""
    d = value - f4(pixel) * f4(1 / 255)
    return d, min(max(d, f4(-DELTA)), f4(DELTA))


@nb.njit(parallel=True, fastmath=True, cache=CACHE)
def _huber(image, pixels, cover, labels, mouth_weight):
    """-> row sums (H,2) of the weighted Huber and of the colours' squared error, and d loss / d image (4,H,W)."""
    _, height, width = image.shape
    gradient = np.empty((4, height, width), np.float32)
    sums = np.zeros((height, 2), np.float64)
    unit, of_alpha = f4(1.0 / (3 * height * width)), f4(ALPHA / (height * width))
    for y in nb.prange(height):
        total, squares = f4(0), f4(0)
        for c in range(3):
            for x in range(width):
                d, slope = difference(image[c, y, x], pixels[c, y, x])
                weight = f4(1) + mouth_weight * f4(labels[y, x] & MOUTH)
                total += weight * slope * (d - f4(0.5) * slope)
                squares += d * d
                gradient[c, y, x] = weight * slope * unit
        for x in range(width):
            d, slope = difference(image[3, y, x], cover[y, x])
            total += f4(3 * ALPHA) * slope * (d - f4(0.5) * slope)
            gradient[3, y, x] = slope * of_alpha
        sums[y, 0], sums[y, 1] = total, squares
    return sums, gradient


class _Huber(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, picture, mouth_weight):
        planes = picture.pixels, picture.cover, picture.labels
        sums, ctx.gradient = _huber(image.detach().contiguous().numpy(), *planes, f4(mouth_weight))
        loss, squares = sums.sum(0) / picture.pixels.size
        mse = torch.tensor(squares)
        ctx.mark_non_differentiable(mse)
        return torch.tensor(loss, dtype=torch.float32), mse

    @staticmethod
    def backward(ctx, d_loss, _):
        return torch.from_numpy(ctx.gradient * f4(d_loss.item())), None, None


def huber(image: torch.Tensor, picture, mouth_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    """image (4,H,W) in 0..1 over white, picture a dataset.Picture -> loss, plain mean squared error of the colours."""
    return _Huber.apply(image, picture, mouth_weight)


def huber_torch(image: torch.Tensor, picture, mouth_weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    """`huber` in plain torch, on the image's device and in its precision."""
    planes = np.concatenate([picture.pixels, picture.cover[None]])
    d = image - torch.as_tensor(planes, device=image.device).to(image.dtype) / 255
    loss = torch.where(d.abs() < DELTA, 0.5 * d * d, DELTA * (d.abs() - 0.5 * DELTA))
    mouth = torch.as_tensor(picture.labels & MOUTH, device=image.device)
    colours = (loss[:3] * (1 + mouth_weight * mouth)).mean()
    return colours + ALPHA * loss[3].mean(), (d[:3].detach() ** 2).mean()
