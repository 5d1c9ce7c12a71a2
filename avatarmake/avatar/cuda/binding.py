"""Binding on CUDA, a thread a Gaussian: avatarmake/avatar/binding.py says what is computed."""

from numba import cuda

from avatarmake.avatar.binding import place, place_backward
from avatarmake.avatar.cuda.kernel import Kernel


@Kernel
def bind(
    x, vertices, corners, weights, spacing, step, start_scale, start_opacity, low, high,
    means, axes, opacities, colours,
):  # fmt: skip
    g = cuda.grid(1)
    if g < x.shape[0]:
        place(g, x, vertices, corners, weights, spacing, step, start_scale, start_opacity, low, high,
              means, axes, opacities, colours)  # fmt: skip


@Kernel
def bind_backward(
    d_means, d_axes, d_opacities, d_colours, x, opacities, vertices, corners, weights, spacing,
    step, start_scale, low, high, d_x,
):  # fmt: skip
    g = cuda.grid(1)
    if g < x.shape[0]:
        place_backward(g, d_means, d_axes, d_opacities, d_colours, x, opacities, vertices, corners, weights, spacing,
                       step, start_scale, low, high, d_x)  # fmt: skip
