"""Blending the Gaussians of each tile front to back, and the gradient of that.

Inner loops run over unsigned ranges of pixels, which LLVM vectorises (signed ones it does not, because an index might
be negative). All that a tile works on lies in one array, row after row, a row's planes beside each other: with an array
a plane, LLVM tests before every row whether any two of them overlap. Kernels that call each other share this file:
numba's cache looks at one file only.
"""

import numba as nb
import numpy as np

from avatarmake.avatar.projection import ALPHA_MIN, CACHE, STRICT, SUMS, f4
from avatarmake.avatar.tiles import TALL, TILE

LANES = 8  # pixels of a row are walked in whole groups of this many
ALPHA_MAX, T_MIN = 0.99, 1e-4
# Planes of a tile's row: where each begins. COLUMN holds 0, 1, ... as floats.
PLANE = tuple(np.uint64(TILE * k) for k in range(7))
RED, GREEN, BLUE, THROUGH, COLUMN = PLANE[:5]
GRADIENT_RED, GRADIENT_GREEN, GRADIENT_BLUE, GRADIENT_ALPHA, BACK_THROUGH, REST, BACK_COLUMN = PLANE
HALF = tuple(np.uint64(TILE // 2 * k) for k in range(SUMS))
ROW, BACK_ROW = 5 * TILE, 7 * TILE


@nb.njit(fastmath=STRICT, inline="always")
def exp(x):
    """exp for x <= 0 in float32, relative error 2e-7: 2^n by its bits, a polynomial for the rest; it vectorises."""
    t = max(x, f4(-80.0)) * f4(1.44269504)
    n = np.int32(t - f4(0.5))
    f = t - f4(n)
    p = f4(1.33978035e-3) * f + f4(9.67770918e-3)
    p = ((p * f + f4(5.55071346e-2)) * f + f4(2.40211755e-1)) * f + f4(6.93147182e-1)
    return (p * f + f4(1.0)) * np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@nb.njit(fastmath=STRICT, inline="always")
def seen(raw, t):
    """What blends of a Gaussian whose opacity at a pixel is `raw`, where T = t of what lies behind is seen."""
    alpha = min(raw, f4(ALPHA_MAX))
    alpha = alpha if alpha >= f4(ALPHA_MIN) else f4(0)
    return alpha if t > f4(T_MIN) else f4(0)


@nb.njit(fastmath=STRICT, inline="always")
def by_power(raw, alpha, t, cg, behind):
    """dL/d(log raw), with cg = g . colour and `behind` the part of g . pixel that lies behind the Gaussian."""
    d = (t * cg - behind / (f4(1) - alpha)) * alpha
    return d if raw <= f4(ALPHA_MAX) else f4(0)


@nb.njit(fastmath=STRICT, inline="always")
def by_splat(p0, px, pxx, py, pxy, pyy, s):
    """Sums over pixels of by_power times 1, dx, dx^2, dy, dx dy, dy^2 -> gradients by centre, conic, opacity."""
    dx, dy = s[2] * px + s[3] * py, s[3] * px + s[4] * py
    return dx, dy, f4(-0.5) * pxx, -pxy, f4(-0.5) * pyy, p0 / s[5]


@nb.njit(fastmath=STRICT, inline="always")
def _overlap(box, left, top):
    """Rows and columns of a tile that a box covers, columns widened to whole groups of LANES."""
    r0, r1 = max(box[2] - top, 0), min(box[3] - top, TALL)
    x0 = max(box[0] - left, 0) // LANES * LANES
    x1 = (min(box[1] - left, TILE) + LANES - 1) // LANES * LANES
    return r0, r1, x0, x1


@nb.njit(inline="always")
def _spread(turn, tiles):
    """A permutation of the tiles: threads take consecutive turns, and busy tiles lie beside each other."""
    return turn * 97 % tiles if tiles % 97 else turn


@nb.njit(fastmath=STRICT)
def _opaque(state):
    """Whether nothing more can be seen through any pixel of the tile."""
    most = f4(0)
    for row in range(TALL):
        for x in range(np.uint64(TILE)):
            most = max(most, state[np.uint64(row * ROW) + THROUGH + x])
    return most <= f4(T_MIN)


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def blend(splats, boxes, offsets, ids, columns, width, height, background):
    """-> image (4,H,W) RGB and alpha, ends (tiles,): where each tile stopped, all of its pixels being opaque."""
    image = np.empty((4, height, width), np.float32)
    tiles = len(offsets) - 1
    ends = np.empty(tiles, np.int32)
    for turn in nb.prange(tiles):
        tile = _spread(np.int64(turn), tiles)
        left, top = tile % columns * TILE, tile // columns * TALL
        state = np.zeros(TALL * ROW, np.float32)
        for row in range(np.uint64(TALL)):
            for x in range(np.uint64(TILE)):
                state[row * np.uint64(ROW) + THROUGH + x] = f4(1)
                state[row * np.uint64(ROW) + COLUMN + x] = f4(x)
        e = offsets[tile]
        while e < offsets[tile + 1]:
            if (e - offsets[tile]) & 31 == 31 and _opaque(state):
                break
            i = ids[e]
            e += 1
            s = splats[i]
            r0, r1, x0, x1 = _overlap(boxes[i], left, top)
            mx, a, b, c = s[0] - f4(0.5) - f4(left), f4(-0.5) * s[2], s[3], f4(-0.5) * s[4]
            op, s6, s7, s8 = s[5], s[6], s[7], s[8]
            for row in range(r0, r1):
                dy = f4(top + row) + f4(0.5) - s[1]
                k0, k1 = c * dy * dy, -b * dy
                first = np.uint64(row * ROW)
                for x in range(first + np.uint64(x0), first + np.uint64(x1)):
                    dx = state[x + COLUMN] - mx
                    t = state[x + THROUGH]
                    w = t * seen(op * exp((a * dx + k1) * dx + k0), t)
                    state[x + RED] += w * s6
                    state[x + GREEN] += w * s7
                    state[x + BLUE] += w * s8
                    state[x + THROUGH] = t - w
        ends[tile] = e
        for row in range(min(TALL, height - top)):
            for x in range(min(TILE, width - left)):
                at = np.uint64(row * ROW + x)
                t = state[at + THROUGH]
                image[0, top + row, left + x] = state[at + RED] + t * background[0]
                image[1, top + row, left + x] = state[at + GREEN] + t * background[1]
                image[2, top + row, left + x] = state[at + BLUE] + t * background[2]
                image[3, top + row, left + x] = f4(1) - t
    return image, ends


@nb.njit(fastmath=STRICT)
def _start_backward(d_image, image, left, top, state):
    """Fill a tile's planes: the image's gradient, g . image as what lies behind everything, nothing blended yet."""
    _, height, width = image.shape
    state[:] = f4(0)
    for row in range(np.uint64(TALL)):
        for x in range(np.uint64(TILE)):
            state[row * np.uint64(BACK_ROW) + BACK_THROUGH + x] = f4(1)
            state[row * np.uint64(BACK_ROW) + BACK_COLUMN + x] = f4(x)
    for k in range(4):
        for row in range(min(TALL, height - top)):
            for x in range(min(TILE, width - left)):
                g, at = d_image[k, top + row, left + x], np.uint64(row * BACK_ROW + x)
                state[at + np.uint64(k * TILE)] = g
                state[at + REST] += g * image[k, top + row, left + x]


@nb.njit(parallel=True, fastmath=STRICT, cache=CACHE)
def blend_backward(d_image, image, splats, boxes, offsets, ids, slots, ends, columns):
    """-> sums (E, SUMS): the gradient of each entry, at its slot.

    With g = dL/dpixel and rest = g . (final image - blended up to and with i): dL/dalpha_i = T g.c_i - rest/(1-alpha).
    Sums over an entry's pixels are kept column by column until its last row: dx is a column's, so that what dx weighs
    follows from them.
    """
    sums = np.zeros((len(ids), SUMS), np.float32)
    tiles = len(offsets) - 1
    for turn in nb.prange(tiles):
        tile = _spread(np.int64(turn), tiles)
        left, top = tile % columns * TILE, tile // columns * TALL
        if ends[tile] == offsets[tile]:
            continue
        state = np.empty(TALL * BACK_ROW, np.float32)
        column, wide = np.empty(6 * TILE, np.float32), np.empty(SUMS * TILE // 2, np.float32)
        _start_backward(d_image, image, left, top, state)
        for e in range(offsets[tile], ends[tile]):
            i = ids[e]
            s = splats[i]
            r0, r1, x0, x1 = _overlap(boxes[i], left, top)
            mx, a, b, c = s[0] - f4(0.5) - f4(left), f4(-0.5) * s[2], s[3], f4(-0.5) * s[4]
            op, s6, s7, s8 = s[5], s[6], s[7], s[8]
            column[:] = f4(0)
            for row in range(r0, r1):
                dy = f4(top + row) + f4(0.5) - s[1]
                k0, k1, dy2 = c * dy * dy, -b * dy, dy * dy
                first = np.uint64(row * BACK_ROW)
                for x in range(np.uint64(x0), np.uint64(x1)):
                    at = first + x
                    dx = state[at + BACK_COLUMN] - mx
                    raw = op * exp((a * dx + k1) * dx + k0)
                    t = state[at + BACK_THROUGH]
                    alpha = seen(raw, t)
                    w = t * alpha
                    g0, g1, g2 = state[at + GRADIENT_RED], state[at + GRADIENT_GREEN], state[at + GRADIENT_BLUE]
                    cg = s6 * g0 + s7 * g1 + s8 * g2 + state[at + GRADIENT_ALPHA]
                    behind = state[at + REST] - w * cg
                    state[at + REST] = behind
                    state[at + BACK_THROUGH] = t - w
                    d = by_power(raw, alpha, t, cg, behind)
                    column[x] += d
                    column[x + PLANE[1]] += d * dy
                    column[x + PLANE[2]] += d * dy2
                    column[x + PLANE[3]] += w * g0
                    column[x + PLANE[4]] += w * g1
                    column[x + PLANE[5]] += w * g2
            _sum_columns(column, wide, s, mx, sums[slots[e]])
    return sums


@nb.njit(fastmath=STRICT, inline="always")
def _sum_columns(column, wide, s, mx, out):
    """An entry's sums over its columns -> its gradient (SUMS,): halves added to halves, so always in one order."""
    half = np.uint64(TILE // 2)
    for x in range(half):
        near, far = f4(x) - mx, f4(x) + f4(TILE // 2) - mx
        y = x + half
        a, b, a_dy, b_dy = column[x], column[y], column[x + PLANE[1]], column[y + PLANE[1]]
        wide[x] = a + b
        wide[x + HALF[1]] = a * near + b * far
        wide[x + HALF[2]] = a * near * near + b * far * far
        wide[x + HALF[3]] = a_dy + b_dy
        wide[x + HALF[4]] = a_dy * near + b_dy * far
        wide[x + HALF[5]] = column[x + PLANE[2]] + column[y + PLANE[2]]
        wide[x + HALF[6]] = column[x + PLANE[3]] + column[y + PLANE[3]]
        wide[x + HALF[7]] = column[x + PLANE[4]] + column[y + PLANE[4]]
        wide[x + HALF[8]] = column[x + PLANE[5]] + column[y + PLANE[5]]
    p0, px, pxx = _eight(wide, HALF[0]), _eight(wide, HALF[1]), _eight(wide, HALF[2])
    py, pxy, pyy = _eight(wide, HALF[3]), _eight(wide, HALF[4]), _eight(wide, HALF[5])
    out[0], out[1], out[2], out[3], out[4], out[5] = by_splat(p0, px, pxx, py, pxy, pyy, s)
    out[6], out[7], out[8] = _eight(wide, HALF[6]), _eight(wide, HALF[7]), _eight(wide, HALF[8])


@nb.njit(fastmath=STRICT, inline="always")
def _eight(wide, k):
    u = np.uint64
    a, b = wide[k] + wide[k + u(4)], wide[k + u(1)] + wide[k + u(5)]
    c, d = wide[k + u(2)] + wide[k + u(6)], wide[k + u(3)] + wide[k + u(7)]
    return (a + c) + (b + d)
