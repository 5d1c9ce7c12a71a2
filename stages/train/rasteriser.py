"""A CPU rasteriser of 3D Gaussians in numba: forward, and analytic gradients backward.

The image is that of 3D Gaussian Splatting (Kerbl et al., SIGGRAPH 2023): each Gaussian is projected to an ellipse by
the local affine approximation of EWA splatting (Zwicker et al., VIS 2001), widened by 0.3 px^2 against aliasing, and
blended front to back:

    alpha_i = min(opacity_i exp(-d^T conic d / 2), 0.99), nothing below 1/255
    T_i     = prod_{j<i} (1 - alpha_j), nothing more once T_i <= 1e-4
    image   = sum_i T_i alpha_i colour_i + T background

What makes it fast: boxes that end where opacity * gaussian falls below 1/255; one depth sort for the whole image; a
counting sort into 16 x 16 tiles; inner loops over unsigned ranges of pixels, which LLVM vectorises (signed ones it
does not, because an index might be negative). The backward pass walks front to back as well and keeps no lists: what
lies behind an entry is the final image minus what has been blended so far. Every tile writes gradients to slots of
its own and every Gaussian sums its slots in a fixed order, so results do not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np
import torch

from stages.train.blending import blend, blend_backward
from stages.train.projection import f4, project, project_backward
from stages.train.tiles import TILE, sort_into_tiles


class Camera(NamedTuple):
    """Intrinsics in pixels of the image to be made (pixel centres at +0.5), and its size."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class _Rasterise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, axes, opacities, colours, rotation, translation, camera, background):
        inputs = [x.detach().contiguous().numpy() for x in (means, axes, opacities, colours, rotation, translation)]
        intrinsics = [f4(x) for x in camera[:4]]
        size = (camera.width, camera.height)
        columns, rows = -(-camera.width // TILE), -(-camera.height // TILE)
        splats, boxes, keys = project(*inputs, *intrinsics, *size)
        offsets, ids, slots, starts = sort_into_tiles(np.sort(keys), boxes, columns, rows)
        image, ends = blend(splats, boxes, offsets, ids, columns, *size, np.asarray(background, np.float32))
        ctx.state = (inputs, intrinsics, size, columns, splats, boxes, offsets, ids, slots, starts, ends, image)
        return torch.from_numpy(image)

    @staticmethod
    def backward(ctx, d_image):
        inputs, intrinsics, size, columns, splats, boxes, offsets, ids, slots, starts, ends, image = ctx.state
        d_image = np.ascontiguousarray(d_image.numpy())
        sums = blend_backward(d_image, image, splats, boxes, offsets, ids, slots, ends, columns)
        means, axes, _, _, r, t = inputs
        *gradients, camera = project_backward(sums, starts, splats, boxes, means, axes, r, t, *intrinsics[:2])
        camera = camera.sum(0, dtype=np.float64).astype(np.float32)
        gradients += [camera[:9].reshape(3, 3), camera[9:]]
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

    means (N,3) world metres; axes (N,3,3): columns are the principal axes times their standard deviation, so that the
    covariance is axes axes^T; opacities (N,) in 0..1; colours (N,3); world-to-camera rotation (3,3), translation (3,).
    All float32 on the CPU.
    """
    return _Rasterise.apply(means, axes, opacities, colours, rotation, translation, camera, background)
