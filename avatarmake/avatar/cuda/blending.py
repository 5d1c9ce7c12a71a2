"""Blending on CUDA, a block a tile and a thread a pixel: avatarmake/avatar/blending.py says what is computed.

Every __syncthreads has a word on what it keeps apart: between two of them no number in shared memory is written by one
thread and touched by another. tests/avatar/cuda runs the threads in random orders between them.
"""

import numba as nb
import numpy as np
from numba import cuda, float32

from avatarmake.avatar.blending import T_MIN, by_power, exp, seen
from avatarmake.avatar.cuda.kernel import Kernel
from avatarmake.avatar.cuda.tiles import TALL, TILE
from avatarmake.avatar.projection import SPLAT, STRICT, SUMS, f4

PIXELS = TILE * TALL
BATCH = 64  # splats that a block holds at once
GROUP = 8  # of them backward, a warp for each
WARP = 32
PARTS, ROW = GROUP * SUMS, WARP + 1  # of `parts`: one more, so that the threads that add rows up are at different banks
assert PIXELS == GROUP * WARP and WARP == 2 * TILE


@nb.njit(fastmath=STRICT, inline="always")
def _raw(s, k, x, y, left, top):
    """-> opacity of splat k at pixel x, y of the tile, before any bound."""
    dx, dy = f4(x) - (s[k, 0] - f4(0.5) - f4(left)), f4(top + y) + f4(0.5) - s[k, 1]
    k0, k1 = f4(-0.5) * s[k, 4] * dy * dy, -s[k, 3] * dy
    return s[k, 5] * exp((f4(-0.5) * s[k, 2] * dx + k1) * dx + k0)


@nb.njit(fastmath=STRICT)
def _front_to_back(s, count, x, y, left, top, red, green, blue, t):
    """Blend `count` splats into a pixel."""
    for k in range(count):
        w = t * seen(_raw(s, k, x, y, left, top), t)
        red, green, blue, t = red + w * s[k, 6], green + w * s[k, 7], blue + w * s[k, 8], t - w
    return red, green, blue, t


@Kernel
def blend(splats, offsets, owners, order, columns, background, image):
    """Lists of `tiles`: pair order[e] of tile k for offsets[k] <= e < offsets[k + 1] -> image (4,H,W) RGB and alpha."""
    s = cuda.shared.array((BATCH, SPLAT), float32)
    height, width = image.shape[1], image.shape[2]
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    left, top = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TALL
    tile, thread = cuda.blockIdx.y * columns + cuda.blockIdx.x, y * TILE + x
    inside = left + x < width and top + y < height
    red, green, blue, t = f4(0), f4(0), f4(0), f4(1) if inside else f4(0)
    first, end = offsets[tile], offsets[tile + 1]
    while first < end:
        # Before a batch is overwritten, every pixel has blended the last one; and all agree whether any still sees on.
        if cuda.syncthreads_and(np.int32(t <= f4(T_MIN))):
            break
        some = min(end - first, BATCH)
        for n in range(thread, some * SPLAT, PIXELS):
            s[n // SPLAT, n % SPLAT] = splats[owners[order[first + n // SPLAT]], n % SPLAT]
        cuda.syncthreads()  # the batch is written before anybody reads it
        red, green, blue, t = _front_to_back(s, some, x, y, left, top, red, green, blue, t)
        first += BATCH
    if inside:
        image[0, top + y, left + x] = red + t * background[0]
        image[1, top + y, left + x] = green + t * background[1]
        image[2, top + y, left + x] = blue + t * background[2]
        image[3, top + y, left + x] = f4(1) - t


@nb.njit(fastmath=STRICT)
def _back_through(s, count, x, y, left, top, g, thread, t, rest, power, weight):
    """The same once more with the gradient g: of each splat dL/dpower at this pixel, and what it weighs there."""
    for k in range(count):
        raw = _raw(s, k, x, y, left, top)
        alpha = seen(raw, t)
        w = t * alpha
        cg = s[k, 6] * g[0, thread] + s[k, 7] * g[1, thread] + s[k, 8] * g[2, thread] + g[3, thread]
        rest = rest - w * cg
        power[k, thread], weight[k, thread] = by_power(raw, alpha, t, cg, rest), w
        t = t - w
    return t, rest


@nb.njit(fastmath=STRICT)
def _sum_half_column(s, k, lane, left, top, g, power, weight, parts):
    """Every other row of a column of splat k, for lane = column + 16 (odd rows) -> column `lane` of its SUMS parts."""
    x, odd = lane % TILE, lane // TILE
    d0, d1, d2, red, green, blue = f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
    for row in range(TALL // 2):
        at = row * WARP + lane  # the warp reads 32 neighbours: two rows
        dy = f4(top + 2 * row + odd) + f4(0.5) - s[k, 1]
        d, w = power[k, at], weight[k, at]
        d0, d1, d2 = d0 + d, d1 + d * dy, d2 + d * dy * dy
        red, green, blue = red + w * g[0, at], green + w * g[1, at], blue + w * g[2, at]
    dx = f4(x) - (s[k, 0] - f4(0.5) - f4(left))
    n = k * SUMS
    parts[n, lane], parts[n + 1, lane], parts[n + 2, lane] = d0, d0 * dx, d0 * dx * dx
    parts[n + 3, lane], parts[n + 4, lane], parts[n + 5, lane] = d1, d1 * dx, d2
    parts[n + 6, lane], parts[n + 7, lane], parts[n + 8, lane] = red, green, blue


@nb.njit(fastmath=STRICT)
def _sum_row(parts, n):
    a, b, c, d = f4(0), f4(0), f4(0), f4(0)
    for lane in range(0, WARP, 4):
        a, b = a + parts[n, lane], b + parts[n, lane + 1]
        c, d = c + parts[n, lane + 2], d + parts[n, lane + 3]
    return (a + b) + (c + d)


@Kernel
def blend_backward(d_image, image, splats, offsets, owners, order, columns, moments):
    """-> moments (C, SUMS), a row for each pair: by_splat's six sums, and the gradient by the colour.

    No gradient is added to in memory: a group of splats leaves two numbers a pixel, a warp then adds up one splat's,
    and its row is written once.
    """
    s = cuda.shared.array((GROUP, SPLAT), float32)
    g = cuda.shared.array((4, PIXELS), float32)
    power = cuda.shared.array((GROUP, PIXELS), float32)
    weight = cuda.shared.array((GROUP, PIXELS), float32)
    parts = cuda.shared.array((PARTS, ROW), float32)
    height, width = image.shape[1], image.shape[2]
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    left, top = cuda.blockIdx.x * TILE, cuda.blockIdx.y * TALL
    tile, thread = cuda.blockIdx.y * columns + cuda.blockIdx.x, y * TILE + x
    inside = left + x < width and top + y < height
    rest, t = f4(0), f4(1) if inside else f4(0)
    for k in range(4):
        g[k, thread] = d_image[k, top + y, left + x] if inside else f4(0)
        if inside:
            rest += g[k, thread] * image[k, top + y, left + x]
    first, end = offsets[tile], offsets[tile + 1]
    while first < end:
        # The last group's parts are added up before its splats and parts are overwritten; g is written by then.
        if cuda.syncthreads_and(np.int32(t <= f4(T_MIN))):
            break
        some = min(end - first, GROUP)
        if thread < some * SPLAT:
            s[thread // SPLAT, thread % SPLAT] = splats[owners[order[first + thread // SPLAT]], thread % SPLAT]
        cuda.syncthreads()  # the group is written before anybody reads it
        t, rest = _back_through(s, some, x, y, left, top, g, thread, t, rest, power, weight)
        cuda.syncthreads()  # every pixel's numbers are there before warps read them
        if thread // WARP < some:
            _sum_half_column(s, thread // WARP, thread % WARP, left, top, g, power, weight, parts)
        cuda.syncthreads()  # every lane's parts are there before they are added up
        if thread < some * SUMS:
            moments[order[first + thread // SUMS], thread % SUMS] = _sum_row(parts, thread)
        first += GROUP
    # Of what lies behind an opaque tile nothing is seen. No thread reads moments, and no two write the same.
    for n in range(first * SUMS + thread, end * SUMS, PIXELS):
        moments[order[n // SUMS], n % SUMS] = f4(0)


assert np.prod((SPLAT, GROUP)) <= PIXELS
