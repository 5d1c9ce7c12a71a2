"""One Gaussian after the other: projection to an ellipse in the image, and the gradient of that.

The local affine approximation of EWA splatting (Zwicker et al., VIS 2001): covariance2 = J R covariance R^T J^T + 0.3
px^2, with J the derivative of the pinhole camera at the Gaussian's centre.
"""

import math
import os
from pathlib import Path

import numba as nb
import numpy as np

LOW_PASS = 0.3  # px^2, added to both axes of every ellipse
NEAR = 0.01  # metres
ALPHA_MIN = 1 / 255  # what blends less is not seen
SPLAT = 9  # floats of a projected Gaussian: x, y, conic (a, b, c), opacity, colour (3)
SUMS = 9  # the gradients of the same, in the same order

# Compiled code is kept beside the sources where that can be written (or in NUMBA_CACHE_DIR), else it is made anew.
CACHE = "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK)
f4 = np.float32
# fastmath without leave to reorder sums: a kernel just compiled and the same one out of numba's cache reordered them
# differently, and a resumed training came out another one.
STRICT = {"nnan", "ninf", "nsz", "arcp", "contract"}


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def project(means, axes, opacities, colours, r, t, fx, fy, cx, cy, width, height):
    """-> splats (N, SPLAT), boxes (N,4) int32 [x0, x1, y0, y1) in pixels, empty when unseen; keys (N,) uint64."""
    n = len(means)
    splats = np.zeros((n, SPLAT), np.float32)
    boxes = np.zeros((n, 4), np.int32)
    keys = np.empty(n, np.uint64)
    for i in nb.prange(n):
        keys[i] = np.uint64(0xFFFFFFFF) << np.uint64(32) | np.uint64(i)
        z = splat(i, means, axes, opacities, colours, r, t, fx, fy, cx, cy, width, height, 2.0, splats, boxes)
        if z > f4(0):
            # positive floats sort as their bits do; the index breaks ties, so that the order is one
            keys[i] = np.uint64(np.float32(z).view(np.uint32)) << np.uint64(32) | np.uint64(i)
    return splats, boxes, keys


@nb.njit(fastmath=STRICT, inline="always")
def splat(i, means, axes, opacities, colours, r, t, fx, fy, cx, cy, width, height, two, splats, boxes):
    """Gaussian i to its row of splats and boxes -> its depth; 0, and both untouched, where it is not seen.

    `two` is 2 in the precision of the box's edges: in float64 on the CPU, in float32 on CUDA.
    """
    x, y, z = _to_camera(means[i], r, t)
    seen = z >= f4(NEAR) and opacities[i] >= f4(ALPHA_MIN)
    if seen:
        u = _jacobian(x, y, z, r, fx, fy)
        a, b, c = f4(LOW_PASS), f4(0), f4(LOW_PASS)
        for k in range(3):
            g = u[0] * axes[i, 0, k] + u[1] * axes[i, 1, k] + u[2] * axes[i, 2, k]
            h = u[3] * axes[i, 0, k] + u[4] * axes[i, 1, k] + u[5] * axes[i, 2, k]
            a, b, c = a + g * g, b + g * h, c + h * h
        det = a * c - b * b
        seen = det > f4(0)  # not so either when it is not a number
        if seen:
            mx, my = fx * x / z + cx, fy * y / z + cy
            reach = two * math.log(opacities[i] * f4(255))  # alpha >= 1/255 where d^T conic d <= reach
            ex, ey = math.sqrt(reach * a), math.sqrt(reach * c)
            # int: on CUDA they would stay floats
            x0, x1 = max(int(math.ceil(mx - ex - f4(0.5))), 0), min(int(math.floor(mx + ex - f4(0.5))) + 1, width)
            y0, y1 = max(int(math.ceil(my - ey - f4(0.5))), 0), min(int(math.floor(my + ey - f4(0.5))) + 1, height)
            seen = x0 < x1 and y0 < y1
            if seen:
                boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = x0, x1, y0, y1
                s = splats[i]
                s[0], s[1], s[2], s[3], s[4] = mx, my, c / det, -b / det, a / det
                s[5], s[6], s[7], s[8] = opacities[i], colours[i, 0], colours[i, 1], colours[i, 2]
    return z if seen else f4(0)


@nb.njit(fastmath=STRICT, inline="always")
def _to_camera(m, r, t):
    x = r[0, 0] * m[0] + r[0, 1] * m[1] + r[0, 2] * m[2] + t[0]
    y = r[1, 0] * m[0] + r[1, 1] * m[1] + r[1, 2] * m[2] + t[1]
    z = r[2, 0] * m[0] + r[2, 1] * m[1] + r[2, 2] * m[2] + t[2]
    return x, y, z


@nb.njit(fastmath=STRICT, inline="always")
def _jacobian(x, y, z, r, fx, fy):
    """U = J R, (2,3) row-major: how a pixel moves with a world point. J has [fx/z, 0, -fx x/z^2; 0, fy/z, ...]."""
    jx, jxz, jy, jyz = fx / z, -fx * x / (z * z), fy / z, -fy * y / (z * z)
    return (
        jx * r[0, 0] + jxz * r[2, 0],
        jx * r[0, 1] + jxz * r[2, 1],
        jx * r[0, 2] + jxz * r[2, 2],
        jy * r[1, 0] + jyz * r[2, 0],
        jy * r[1, 1] + jyz * r[2, 1],
        jy * r[1, 2] + jyz * r[2, 2],
    )


@nb.njit(fastmath=STRICT, inline="always")
def _add_row(out, at, factor, a, b, c):
    out[at] += factor * a
    out[at + 1] += factor * b
    out[at + 2] += factor * c


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def project_backward(sums, starts, splats, boxes, means, axes, r, t, fx, fy):
    """Gradients of `project`; sums (E, SUMS) lie Gaussian by Gaussian, starts (N+1,).

    -> of means (N,3), axes (N,3,3), opacities (N,), colours (N,3), and of the camera per Gaussian (N,12): R, then t.
    """
    n = len(means)
    d_means = np.zeros((n, 3), np.float32)
    d_axes = np.zeros((n, 3, 3), np.float32)
    d_opacities = np.zeros(n, np.float32)
    d_colours = np.zeros((n, 3), np.float32)
    d_camera = np.zeros((n, 12), np.float32)
    for i in nb.prange(n):
        if boxes[i, 1] <= boxes[i, 0]:
            continue
        s = np.zeros(SUMS, np.float32)
        for e in range(starts[i], starts[i + 1]):
            for k in range(SUMS):
                s[k] += sums[e, k]
        d_opacities[i] = s[5]
        d_colours[i, 0], d_colours[i, 1], d_colours[i, 2] = s[6], s[7], s[8]
        splat_backward(i, s[0], s[1], s[2], s[3], s[4], splats, means, axes, r, t, fx, fy, d_means, d_axes, d_camera)
    return d_means, d_axes, d_opacities, d_colours, d_camera


@nb.njit(fastmath=STRICT, inline="always")
def splat_backward(i, gx, gy, ga, gb, gc, splats, means, axes, r, t, fx, fy, d_means, d_axes, d_camera):
    """Gradients by splat i's centre and conic -> row i of those by its mean, its axes and the camera."""
    # covariance = conic^-1: d(covariance) = -conic d(conic) conic, all symmetric
    a, b, c = splats[i, 2], splats[i, 3], splats[i, 4]
    gb = gb * f4(0.5)
    h00, h01, h10, h11 = ga * a + gb * b, ga * b + gb * c, gb * a + gc * b, gb * b + gc * c
    v00, v01, v11 = -(a * h00 + b * h10), -(a * h01 + b * h11), -(b * h01 + c * h11)
    x, y, z = _to_camera(means[i], r, t)
    u = _jacobian(x, y, z, r, fx, fy)
    du0, du1, du2, du3, du4, du5 = f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
    for k in range(3):  # covariance = G G^T + low pass, G = U A
        m0, m1, m2 = axes[i, 0, k], axes[i, 1, k], axes[i, 2, k]
        g, h = u[0] * m0 + u[1] * m1 + u[2] * m2, u[3] * m0 + u[4] * m1 + u[5] * m2
        dg, dh = f4(2) * (v00 * g + v01 * h), f4(2) * (v01 * g + v11 * h)
        d_axes[i, 0, k], d_axes[i, 1, k] = u[0] * dg + u[3] * dh, u[1] * dg + u[4] * dh
        d_axes[i, 2, k] = u[2] * dg + u[5] * dh
        du0, du1, du2 = du0 + dg * m0, du1 + dg * m1, du2 + dg * m2
        du3, du4, du5 = du3 + dh * m0, du4 + dh * m1, du5 + dh * m2
    jx, jxz, jy, jyz = fx / z, -fx * x / (z * z), fy / z, -fy * y / (z * z)
    djx = du0 * r[0, 0] + du1 * r[0, 1] + du2 * r[0, 2]
    djxz = du0 * r[2, 0] + du1 * r[2, 1] + du2 * r[2, 2]
    djy = du3 * r[1, 0] + du4 * r[1, 1] + du5 * r[1, 2]
    djyz = du3 * r[2, 0] + du4 * r[2, 1] + du5 * r[2, 2]
    dx = gx * jx - djxz * fx / (z * z)
    dy = gy * jy - djyz * fy / (z * z)
    dz = gx * jxz + gy * jyz - (djx * jx + djy * jy + f4(2) * (djxz * jxz + djyz * jyz)) / z
    for k in range(3):
        d_means[i, k] = r[0, k] * dx + r[1, k] * dy + r[2, k] * dz
        d_camera[i, k] = dx * means[i, k]
        d_camera[i, 3 + k] = dy * means[i, k]
        d_camera[i, 6 + k] = dz * means[i, k]
    _add_row(d_camera[i], 0, jx, du0, du1, du2)
    _add_row(d_camera[i], 3, jy, du3, du4, du5)
    _add_row(d_camera[i], 6, jxz, du0, du1, du2)
    _add_row(d_camera[i], 6, jyz, du3, du4, du5)
    d_camera[i, 9], d_camera[i, 10], d_camera[i, 11] = dx, dy, dz


@nb.njit(cache=CACHE)
def total(rows):
    """(N,K) float32 -> (K,): their sum in float64, in order."""
    sums = np.zeros(rows.shape[1], np.float64)
    for i in range(len(rows)):
        for k in range(np.uint64(len(sums))):
            sums[k] += rows[i, k]
    return sums.astype(np.float32)
