"""How far a rendered image is from the photograph: FlashAvatar's Huber loss, with the mouth counted again.

    mean(huber(d)) + mouth_weight mean(mouth huber(d)),   huber(d) = d^2/2 where |d| < 0.1, else 0.1 (|d| - 0.05)

Both means are over all pixels and channels, as in FlashAvatar's train.py. One kernel reads uint8 pixels and gives loss
and gradient; `huber_torch` is the same in plain torch, for CUDA and to check it.
"""

import numba as nb
import numpy as np
import torch

from avatarmake.avatar.projection import CACHE, f4

DELTA = 0.1
MOUTH, HEAD = 1, 2  # bits of `labels`


@nb.njit(parallel=True, fastmath=True, cache=CACHE)
def _huber(image, pixels, labels, mouth_weight):
    """-> row sums (H,2) of the weighted Huber and of the squared error, and d loss / d image (4,H,W)."""
    _, height, width = image.shape
    gradient = np.zeros((4, height, width), np.float32)
    sums = np.zeros((height, 2), np.float64)
    unit = f4(1.0 / (3 * height * width))
    for y in nb.prange(height):
        total, squares = f4(0), f4(0)
        for c in range(3):
            for x in range(width):
                d = image[c, y, x] - f4(pixels[c, y, x]) * f4(1 / 255)
                weight = f4(1) + mouth_weight * f4(labels[y, x] & MOUTH)
                slope = min(max(d, f4(-DELTA)), f4(DELTA))
                total += weight * slope * (d - f4(0.5) * slope)
                squares += d * d
                gradient[c, y, x] = weight * slope * unit
        sums[y, 0], sums[y, 1] = total, squares
    return sums, gradient


class _Huber(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, pixels, labels, mouth_weight):
        sums, ctx.gradient = _huber(image.detach().contiguous().numpy(), pixels, labels, f4(mouth_weight))
        loss, squares = sums.sum(0) / pixels.size
        mse = torch.tensor(squares)
        ctx.mark_non_differentiable(mse)
        return torch.tensor(loss, dtype=torch.float32), mse

    @staticmethod
    def backward(ctx, d_loss, _):
        return torch.from_numpy(ctx.gradient * f4(d_loss.item())), None, None, None


def huber(image: torch.Tensor, pixels: np.ndarray, labels: np.ndarray, mouth_weight: float) -> tuple:
    """image (4,H,W) in 0..1, pixels (3,H,W) uint8, labels (H,W) uint8 bits -> loss, plain mean squared error."""
    return _Huber.apply(image, pixels, labels, mouth_weight)


def huber_torch(image: torch.Tensor, pixels: np.ndarray, labels: np.ndarray, mouth_weight: float) -> tuple:
    """`huber` in plain torch, on the image's device and in its precision."""
    d = image[:3] - torch.as_tensor(pixels, device=image.device).to(image.dtype) / 255
    loss = torch.where(d.abs() < DELTA, 0.5 * d * d, DELTA * (d.abs() - 0.5 * DELTA))
    mouth = torch.as_tensor(labels & MOUTH, device=image.device)
    return (loss * (1 + mouth_weight * mouth)).mean(), (d.detach() ** 2).mean()
