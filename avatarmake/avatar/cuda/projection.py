"""Projection on CUDA, a thread a Gaussian: avatarmake/avatar/projection.py says what is computed."""

import numpy as np
from numba import cuda

from avatarmake.avatar.blending import by_splat
from avatarmake.avatar.cuda.kernel import Kernel
from avatarmake.avatar.projection import SUMS, f4, splat, splat_backward

UNSEEN = np.int32(0x7F800000)  # the bits of infinity: behind everything


@Kernel
def project(means, axes, opacities, colours, r, t, fx, fy, cx, cy, width, height, splats, boxes, depths):
    """depths (N,) int32: the bits of each Gaussian's depth, which sort as it does; UNSEEN where its box is empty."""
    i = cuda.grid(1)
    if i < means.shape[0]:
        boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = 0, 0, 0, 0
        z = splat(i, means, axes, opacities, colours, r, t, fx, fy, cx, cy, width, height, f4(2), splats, boxes)
        depths[i] = f4(z).view(np.int32) if z > f4(0) else UNSEEN


@Kernel
def project_backward(
    moments, starts, splats, boxes, tall, wide, means, axes, r, t, fx, fy,
    d_means, d_axes, d_opacities, d_colours, d_camera,
):  # fmt: skip
    """moments (E, SUMS) of blend_backward lie Gaussian by Gaussian, from starts (N,) on; tiles are wide x tall."""
    i = cuda.grid(1)
    if i >= means.shape[0]:
        return
    for k in range(3):
        d_means[i, k], d_colours[i, k] = f4(0), f4(0)
        for c in range(3):
            d_axes[i, k, c] = f4(0)
    for k in range(12):
        d_camera[i, k] = f4(0)
    d_opacities[i] = f4(0)
    if boxes[i, 1] <= boxes[i, 0]:
        return
    rows = (boxes[i, 3] - 1) // tall - boxes[i, 2] // tall + 1
    columns = (boxes[i, 1] - 1) // wide - boxes[i, 0] // wide + 1
    first = starts[i]
    last = min(first + rows * columns, moments.shape[0])  # there are fewer where the lists are full
    p0, px, pxx, py, pxy, pyy = f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
    red, green, blue = f4(0), f4(0), f4(0)
    for e in range(first, last):
        p0, px, pxx = p0 + moments[e, 0], px + moments[e, 1], pxx + moments[e, 2]
        py, pxy, pyy = py + moments[e, 3], pxy + moments[e, 4], pyy + moments[e, 5]
        red, green, blue = red + moments[e, 6], green + moments[e, 7], blue + moments[e, 8]
    gx, gy, ga, gb, gc, d_opacity = by_splat(p0, px, pxx, py, pxy, pyy, splats[i])
    d_opacities[i] = d_opacity
    d_colours[i, 0], d_colours[i, 1], d_colours[i, 2] = red, green, blue
    splat_backward(i, gx, gy, ga, gb, gc, splats, means, axes, r, t, fx, fy, d_means, d_axes, d_camera)


assert SUMS == 9
