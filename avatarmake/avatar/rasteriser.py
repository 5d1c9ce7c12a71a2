"""A CPU rasteriser of 3D Gaussians in numba: forward, and analytic gradients backward.

The image is that of 3D Gaussian Splatting (Kerbl et al., SIGGRAPH 2023): each Gaussian is projected to an ellipse by
the local affine approximation of EWA splatting (Zwicker et al., VIS 2001), widened by 0.3 px^2 against aliasing, and
blended front to back:

    alpha_i = min(opacity_i exp(-d^T conic d / 2), 0.99), nothing below 1/255
    T_i     = prod_{j<i} (1 - alpha_j), nothing more once T_i <= 1e-4
    image   = sum_i T_i alpha_i colour_i + T background

What makes it fast: boxes that end where opacity * gaussian falls below 1/255; one depth sort for the whole image; a
counting sort into tiles; inner loops over unsigned ranges of pixels, which LLVM vectorises (signed ones it
does not, because an index might be negative). The backward pass walks front to back as well and keeps no lists: what
lies behind an entry is the final image minus what has been blended so far. Every tile writes gradients to slots of
its own and every Gaussian sums its slots in a fixed order, so results do not depend on the number of threads.
"""

from typing import Any, NamedTuple

import numpy as np

from avatarmake.avatar.blending import blend, blend_backward
from avatarmake.avatar.projection import f4, project, project_backward, total
from avatarmake.avatar.tiles import TALL, TILE, sort_into_tiles


class Camera(NamedTuple):
    """Intrinsics in pixels of the image to be made (pixel centres at +0.5), and its size."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class Drawn(NamedTuple):
    """An image (4,H,W) float32, RGB over the background and alpha, and what its gradient needs."""

    image: np.ndarray
    state: Any


def rasterise(
    means: np.ndarray,
    axes: np.ndarray,
    opacities: np.ndarray,
    colours: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    camera: Camera,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Drawn:
    """Gaussians -> their image.

    means (N,3) world metres; axes (N,3,3): columns are the principal axes times their standard deviation, so that the
    covariance is axes axes^T; opacities (N,) in 0..1; colours (N,3); world-to-camera rotation (3,3), translation (3,).
    All float32 and contiguous.
    """
    inputs = (means, axes, opacities, colours, rotation, translation)
    intrinsics = [f4(x) for x in camera[:4]]
    size = (camera.width, camera.height)
    columns, rows = -(-camera.width // TILE), -(-camera.height // TALL)
    splats, boxes, keys = project(*inputs, *intrinsics, *size)
    offsets, ids, slots, starts = sort_into_tiles(np.sort(keys), boxes, columns, rows)
    image, ends = blend(splats, boxes, offsets, ids, columns, *size, np.asarray(background, np.float32))
    return Drawn(image, (inputs, intrinsics, columns, splats, boxes, offsets, ids, slots, starts, ends))


def rasterise_backward(d_image: np.ndarray, drawn: Drawn) -> list[np.ndarray]:
    """Gradient of the image (4,H,W) -> of the six arrays that `rasterise` was given, in their order."""
    inputs, intrinsics, columns, splats, boxes, offsets, ids, slots, starts, ends = drawn.state
    sums = blend_backward(d_image, drawn.image, splats, boxes, offsets, ids, slots, ends, columns)
    means, axes, _, _, r, t = inputs
    *gradients, camera = project_backward(sums, starts, splats, boxes, means, axes, r, t, *intrinsics[:2])
    camera = total(camera)
    return [*gradients, camera[:9].reshape(3, 3), camera[9:]]
