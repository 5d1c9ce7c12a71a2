"""The loss on CUDA, a thread a pixel: stages/train/losses.py says what is computed."""

import torch
from numba import cuda

from avatarmake.avatar.cuda.kernel import Kernel
from avatarmake.avatar.projection import f4
from stages.train.losses import ALPHA, MOUTH, difference

PLANES = 5  # of a picture: red, green, blue, cover, labels


@Kernel
def huber_kernel(image, pictures, which, mouth_weight, scale, gradient, terms):
    """pictures (S,PLANES,H,W) uint8, which (1,) int64: one of them -> gradient (4,H,W), terms (2,H,W) of loss, MSE."""
    i = cuda.grid(1)
    height, width = image.shape[1], image.shape[2]
    if i < height * width:
        y, x, p = i // width, i % width, which[0]
        weight = f4(1) + mouth_weight * f4(pictures[p, 4, y, x] & MOUTH)
        unit = scale / f4(3 * height * width)
        total, squares = f4(0), f4(0)
        for c in range(3):
            d, slope = difference(image[c, y, x], pictures[p, c, y, x])
            total += weight * slope * (d - f4(0.5) * slope)
            squares += d * d
            gradient[c, y, x] = weight * slope * unit
        d, slope = difference(image[3, y, x], pictures[p, 3, y, x])
        gradient[3, y, x] = f4(3 * ALPHA) * slope * unit
        terms[0, y, x] = (total + f4(3 * ALPHA) * slope * (d - f4(0.5) * slope)) / f4(3)
        terms[1, y, x] = squares / f4(3)


def huber(image, pictures, which, mouth_weight: float, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """image (4,H,W) and one of the pictures -> (2,) loss and mean squared error; scale times the gradient (4,H,W)."""
    gradient, terms = torch.empty_like(image), torch.empty_like(image[:2])
    huber_kernel.each(image[0].numel(), image, pictures, which, f4(mouth_weight), f4(scale), gradient, terms)
    return terms.mean((1, 2)), gradient


