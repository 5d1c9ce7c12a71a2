"""From what is learned about a Gaussian to the Gaussian in the world, on the triangle it is bound to.

What is learned are COLUMNS numbers a Gaussian, each in steps of its own size and all zero at the start:

    0:3    offset from its point on the surface, along the triangle's frame, in units of `spacing`
    3:7    rotation in that frame, a quaternion (w, x, y, z) added to (1, 0, 0, 0)
    7:10   log of the standard deviations, added to START
    10     opacity before the sigmoid, added to START
    11:14  colour, added to 0.5; as in 3DGS nothing keeps it within 0..1

The triangle's frame is (edge, normal x edge, normal); the mesh is the tracker's, so no gradient goes there.
"""

import math

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE, STRICT, f4
from avatarmake.avatar.surface import Surface

COLUMNS = 14
STEP = np.array([12.0] * 3 + [1.0] * 4 + [2.0] * 3 + [4.0] + [1.0] * 3, np.float32)
WIDTH, THICKNESS = 0.6, 0.25  # standard deviations at the start, in units of spacing: along the surface, and across
START_SCALE = np.log(np.array([WIDTH, WIDTH, THICKNESS], np.float32))
START_OPACITY = 2.0
LOG_SCALE = (-4.0, 2.0)  # bounds of log(standard deviation / spacing)


@nb.njit(fastmath=STRICT)
def _frame(vertices, corners, weights):
    """-> point, and the frame's columns: edge, normal x edge, normal. Unit vectors."""
    a, b, c = vertices[corners[0]], vertices[corners[1]], vertices[corners[2]]
    w0, w1, w2 = weights[0], weights[1], weights[2]
    p0, p1 = w0 * a[0] + w1 * b[0] + w2 * c[0], w0 * a[1] + w1 * b[1] + w2 * c[1]
    p2 = w0 * a[2] + w1 * b[2] + w2 * c[2]
    u0, u1, u2 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    v0, v1, v2 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    n0, n1, n2 = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
    lu = f4(1) / math.sqrt(u0 * u0 + u1 * u1 + u2 * u2 + f4(1e-24))
    ln = f4(1) / math.sqrt(n0 * n0 + n1 * n1 + n2 * n2 + f4(1e-24))
    u0, u1, u2, n0, n1, n2 = u0 * lu, u1 * lu, u2 * lu, n0 * ln, n1 * ln, n2 * ln
    return (p0, p1, p2), (
        (u0, n1 * u2 - n2 * u1, n0),
        (u1, n2 * u0 - n0 * u2, n1),
        (u2, n0 * u1 - n1 * u0, n2),
    )


@nb.njit(fastmath=STRICT)
def _quaternion(x, step):
    w, i, j, k = f4(1) + x[3] * step[3], x[4] * step[4], x[5] * step[5], x[6] * step[6]
    n = f4(1) / math.sqrt(w * w + i * i + j * j + k * k + f4(1e-24))
    return w * n, i * n, j * n, k * n, n


@nb.njit(fastmath=STRICT)
def _rotation(w, i, j, k):
    two = f4(2)
    return (
        (f4(1) - two * (j * j + k * k), two * (i * j - w * k), two * (i * k + w * j)),
        (two * (i * j + w * k), f4(1) - two * (i * i + k * k), two * (j * k - w * i)),
        (two * (i * k - w * j), two * (j * k + w * i), f4(1) - two * (i * i + j * j)),
    )


@nb.njit(fastmath=STRICT, inline="always")
def place(
    g, x, vertices, corners, weights, spacing, step, start_scale, start_opacity, low, high,
    means, axes, opacities, colours,
):  # fmt: skip
    """Gaussian g on its triangle: its row of means, axes, opacities and colours."""
    p, f = _frame(vertices, corners[g], weights[g])
    s = spacing[g]
    w, i, j, k, _ = _quaternion(x[g], step)
    q = _rotation(w, i, j, k)
    o0, o1, o2 = x[g, 0] * step[0] * s, x[g, 1] * step[1] * s, x[g, 2] * step[2] * s
    for r in range(3):
        means[g, r] = p[r] + f[r][0] * o0 + f[r][1] * o1 + f[r][2] * o2
    for c in range(3):
        scale = s * math.exp(min(max(start_scale[c] + x[g, 7 + c] * step[7 + c], low), high))
        for r in range(3):
            axes[g, r, c] = (f[r][0] * q[0][c] + f[r][1] * q[1][c] + f[r][2] * q[2][c]) * scale
        colours[g, c] = f4(0.5) + x[g, 11 + c] * step[11 + c]
    opacities[g] = f4(1) / (f4(1) + math.exp(-(start_opacity + x[g, 10] * step[10])))


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def _bind(x, vertices, corners, weights, spacing, step, start_scale, start_opacity, low, high):
    n = len(x)
    means, axes = np.empty((n, 3), np.float32), np.empty((n, 3, 3), np.float32)
    opacities, colours = np.empty(n, np.float32), np.empty((n, 3), np.float32)
    for g in nb.prange(n):
        place(g, x, vertices, corners, weights, spacing, step, start_scale, start_opacity, low, high,
              means, axes, opacities, colours)  # fmt: skip
    return means, axes, opacities, colours


@nb.njit(fastmath=STRICT, inline="always")
def place_backward(
    g, d_means, d_axes, d_opacities, d_colours, x, opacities, vertices, corners, weights, spacing,
    step, start_scale, low, high, d_x,
):  # fmt: skip
    """Gradients by what `place` gave Gaussian g -> row g of the one by what is learned."""
    two = f4(2)
    _, f = _frame(vertices, corners[g], weights[g])
    s = spacing[g]
    w, i, j, k, norm = _quaternion(x[g], step)
    q = _rotation(w, i, j, k)
    out = d_x[g]
    for c in range(3):
        out[c] = (d_means[g, 0] * f[0][c] + d_means[g, 1] * f[1][c] + d_means[g, 2] * f[2][c]) * s * step[c]
        out[11 + c] = d_colours[g, c] * step[11 + c]
    out[10] = d_opacities[g] * opacities[g] * (f4(1) - opacities[g]) * step[10]
    dw, di, dj, dk = f4(0), f4(0), f4(0), f4(0)
    for c in range(3):
        log_scale = start_scale[c] + x[g, 7 + c] * step[7 + c]
        scale = s * math.exp(min(max(log_scale, low), high))
        # e = F^T d(axis c): the gradient of column c of the quaternion's matrix, times scale
        a0, a1, a2 = d_axes[g, 0, c], d_axes[g, 1, c], d_axes[g, 2, c]
        e0 = (f[0][0] * a0 + f[1][0] * a1 + f[2][0] * a2) * scale
        e1 = (f[0][1] * a0 + f[1][1] * a1 + f[2][1] * a2) * scale
        e2 = (f[0][2] * a0 + f[1][2] * a1 + f[2][2] * a2) * scale
        along = e0 * q[0][c] + e1 * q[1][c] + e2 * q[2][c]
        out[7 + c] = along * step[7 + c] if low < log_scale < high else f4(0)
        if c == 0:
            dw += two * (k * e1 - j * e2)
            di += two * (j * e1 + k * e2)
            dj += two * (i * e1 - two * j * e0 - w * e2)
            dk += two * (w * e1 + i * e2 - two * k * e0)
        elif c == 1:
            dw += two * (i * e2 - k * e0)
            di += two * (j * e0 - two * i * e1 + w * e2)
            dj += two * (i * e0 + k * e2)
            dk += two * (j * e2 - w * e0 - two * k * e1)
        else:
            dw += two * (j * e0 - i * e1)
            di += two * (k * e0 - w * e1 - two * i * e2)
            dj += two * (w * e0 + k * e1 - two * j * e2)
            dk += two * (i * e0 + j * e1)
    dot = dw * w + di * i + dj * j + dk * k
    out[3], out[4] = (dw - dot * w) * norm * step[3], (di - dot * i) * norm * step[4]
    out[5], out[6] = (dj - dot * j) * norm * step[5], (dk - dot * k) * norm * step[6]


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def _bind_backward(
    d_means,
    d_axes,
    d_opacities,
    d_colours,
    x,
    opacities,
    vertices,
    corners,
    weights,
    spacing,
    step,
    start_scale,
    low,
    high,
):
    n = len(x)
    d_x = np.empty((n, COLUMNS), np.float32)
    for g in nb.prange(n):
        place_backward(g, d_means, d_axes, d_opacities, d_colours, x, opacities, vertices, corners, weights, spacing,
                       step, start_scale, low, high, d_x)  # fmt: skip
    return d_x


def bind(learned: np.ndarray, vertices: np.ndarray, surface: Surface) -> tuple[np.ndarray, ...]:
    """learned (N,COLUMNS), vertices (V,3) float32 of a frame -> means (N,3), axes (N,3,3), opacities (N,), colours
    (N,3), as rasteriser.rasterise takes them."""
    return _bind(learned, vertices, *surface, STEP, START_SCALE, f4(START_OPACITY), *map(f4, LOG_SCALE))


def bind_backward(
    gradients: list[np.ndarray], learned: np.ndarray, opacities: np.ndarray, vertices: np.ndarray, surface: Surface
) -> np.ndarray:
    """Gradients of the four that `bind` gave -> of `learned` (N,COLUMNS). `opacities` are those that it gave."""
    return _bind_backward(*gradients, learned, opacities, vertices, *surface, STEP, START_SCALE, *map(f4, LOG_SCALE))
