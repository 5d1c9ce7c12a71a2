"""Tiles of 16 x 16 pixels: sorting Gaussians into them, blending front to back, and the gradient of that.

Inner loops run over unsigned ranges of pixels, which LLVM vectorises (signed ones it does not, because an index might
be negative). Kernels that call each other share this file: numba's cache looks at one file only.
"""

import numba as nb
import numpy as np

from stages.train.projection import ALPHA_MIN, CACHE, SUMS, f4

TILE = 16
LANES = 8  # pixels of a row are walked in whole groups of this many
ALPHA_MAX, T_MIN = 0.99, 1e-4


@nb.njit(cache=CACHE)
def sort_into_tiles(order, boxes, columns, rows):
    """Counting sort of (Gaussian, tile) pairs, front to back in each tile.

    -> offsets (tiles+1,), ids (E,) Gaussian of each entry, slots (E,) where its gradients go, starts (N+1,) of slots.
    """
    n = len(boxes)
    offsets = np.zeros(columns * rows + 1, np.int32)
    starts = np.zeros(n + 1, np.int32)
    for i in range(n):
        x0, x1, y0, y1 = boxes[i]
        count = 0
        if x1 > x0:
            for v in range(y0 // TILE, (y1 - 1) // TILE + 1):
                for u in range(x0 // TILE, (x1 - 1) // TILE + 1):
                    offsets[v * columns + u + 1] += 1
                    count += 1
        starts[i + 1] = starts[i] + count
    for k in range(columns * rows):
        offsets[k + 1] += offsets[k]
    ids = np.empty(offsets[-1], np.int32)
    slots = np.empty(offsets[-1], np.int32)
    fill = offsets[:-1].copy()
    for key in order:
        i = np.int64(key & np.uint64(0xFFFFFFFF))
        x0, x1, y0, y1 = boxes[i]
        if x1 <= x0:
            break  # the unseen come last
        slot = starts[i]
        for v in range(y0 // TILE, (y1 - 1) // TILE + 1):
            for u in range(x0 // TILE, (x1 - 1) // TILE + 1):
                k = v * columns + u
                ids[fill[k]], slots[fill[k]] = i, slot
                fill[k] += 1
                slot += 1
    return offsets, ids, slots, starts


@nb.njit(fastmath=True, inline="always")
def _exp(x):
    """exp for x <= 0 in float32, relative error 2e-7: 2^n by its bits, a polynomial for the rest; it vectorises."""
    t = max(x, f4(-80.0)) * f4(1.44269504)
    n = np.int32(t - f4(0.5))
    f = t - f4(n)
    p = f4(1.33978035e-3) * f + f4(9.67770918e-3)
    p = ((p * f + f4(5.55071346e-2)) * f + f4(2.40211755e-1)) * f + f4(6.93147182e-1)
    return (p * f + f4(1.0)) * np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@nb.njit(fastmath=True, inline="always")
def _overlap(box, left, top):
    """Rows and columns of a tile that a box covers, columns widened to whole groups of LANES."""
    r0, r1 = max(box[2] - top, 0), min(box[3] - top, TILE)
    x0 = max(box[0] - left, 0) // LANES * LANES
    x1 = (min(box[1] - left, TILE) + LANES - 1) // LANES * LANES
    return r0, r1, x0, x1


@nb.njit(inline="always")
def _spread(turn, tiles):
    """A permutation of the tiles: threads take consecutive turns, and busy tiles lie beside each other."""
    return turn * 97 % tiles if tiles % 97 else turn


@nb.njit(parallel=True, fastmath=True, cache=CACHE)
def blend(splats, boxes, offsets, ids, columns, width, height, background):
    """-> image (4,H,W) RGB and alpha, ends (tiles,): where each tile stopped, all of its pixels being opaque."""
    image = np.empty((4, height, width), np.float32)
    tiles = len(offsets) - 1
    ends = np.empty(tiles, np.int32)
    for turn in nb.prange(tiles):
        tile = _spread(np.int64(turn), tiles)
        left, top = tile % columns * TILE, tile // columns * TILE
        red, green = np.zeros((TILE, TILE), np.float32), np.zeros((TILE, TILE), np.float32)
        blue, through = np.zeros((TILE, TILE), np.float32), np.ones((TILE, TILE), np.float32)
        xs = np.arange(TILE).astype(np.float32)
        e = offsets[tile]
        while e < offsets[tile + 1]:
            if (e - offsets[tile]) & 31 == 31 and through.max() <= f4(T_MIN):
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
                red_, green_, blue_, through_ = red[row], green[row], blue[row], through[row]
                for x in range(np.uint64(x0), np.uint64(x1)):
                    dx = xs[x] - mx
                    alpha = min(op * _exp((a * dx + k1) * dx + k0), f4(ALPHA_MAX))
                    t = through_[x]
                    alpha = alpha if alpha >= f4(ALPHA_MIN) else f4(0)
                    alpha = alpha if t > f4(T_MIN) else f4(0)
                    w = t * alpha
                    red_[x] += w * s6
                    green_[x] += w * s7
                    blue_[x] += w * s8
                    through_[x] = t - w
        ends[tile] = e
        for row in range(min(TILE, height - top)):
            for x in range(min(TILE, width - left)):
                t = through[row, x]
                image[0, top + row, left + x] = red[row, x] + t * background[0]
                image[1, top + row, left + x] = green[row, x] + t * background[1]
                image[2, top + row, left + x] = blue[row, x] + t * background[2]
                image[3, top + row, left + x] = f4(1) - t
    return image, ends


@nb.njit(parallel=True, fastmath=True, cache=CACHE)
def blend_backward(d_image, image, splats, boxes, offsets, ids, slots, ends, columns, width, height):
    """-> sums (E, SUMS): the gradient of each entry, at its slot.

    With g = dL/dpixel and rest = g . (final image - blended up to and with i): dL/dalpha_i = T g.c_i - rest/(1-alpha).
    """
    sums = np.zeros((len(ids), SUMS), np.float32)
    tiles = len(offsets) - 1
    for turn in nb.prange(tiles):
        tile = _spread(np.int64(turn), tiles)
        left, top = tile % columns * TILE, tile // columns * TILE
        if ends[tile] == offsets[tile]:
            continue
        through, rest = np.ones((TILE, TILE), np.float32), np.zeros((TILE, TILE), np.float32)
        g = np.zeros((4, TILE, TILE), np.float32)
        xs = np.arange(TILE).astype(np.float32)
        for k in range(4):
            for row in range(min(TILE, height - top)):
                for x in range(min(TILE, width - left)):
                    g[k, row, x] = d_image[k, top + row, left + x]
                    rest[row, x] += g[k, row, x] * image[k, top + row, left + x]
        for e in range(offsets[tile], ends[tile]):
            i = ids[e]
            s = splats[i]
            r0, r1, x0, x1 = _overlap(boxes[i], left, top)
            mx, a, b, c = s[0] - f4(0.5) - f4(left), f4(-0.5) * s[2], s[3], f4(-0.5) * s[4]
            op, s6, s7, s8 = s[5], s[6], s[7], s[8]
            d6, d7, d8 = f4(0), f4(0), f4(0)
            p0, px, py, pxx, pxy, pyy = f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
            for row in range(r0, r1):
                dy = f4(top + row) + f4(0.5) - s[1]
                k0, k1 = c * dy * dy, -b * dy
                q0, qx = f4(0), f4(0)
                g0, g1, g2, g3, through_, rest_ = g[0, row], g[1, row], g[2, row], g[3, row], through[row], rest[row]
                for x in range(np.uint64(x0), np.uint64(x1)):
                    dx = xs[x] - mx
                    raw = op * _exp((a * dx + k1) * dx + k0)
                    alpha = min(raw, f4(ALPHA_MAX))
                    t = through_[x]
                    alpha = alpha if alpha >= f4(ALPHA_MIN) else f4(0)
                    alpha = alpha if t > f4(T_MIN) else f4(0)
                    w = t * alpha
                    d6 += w * g0[x]
                    d7 += w * g1[x]
                    d8 += w * g2[x]
                    cg = s6 * g0[x] + s7 * g1[x] + s8 * g2[x] + g3[x]
                    behind = rest_[x] - w * cg
                    rest_[x] = behind
                    through_[x] = t - w
                    d = (t * cg - behind / (f4(1) - alpha)) * alpha  # dL/dpower
                    d = d if raw <= f4(ALPHA_MAX) else f4(0)
                    q0 += d
                    qx += d * dx
                    pxx += d * dx * dx
                p0 += q0
                px += qx
                py += q0 * dy
                pxy += qx * dy
                pyy += q0 * dy * dy
            out = sums[slots[e]]
            out[0], out[1] = s[2] * px + b * py, b * px + s[4] * py
            out[2], out[3], out[4] = f4(-0.5) * pxx, -pxy, f4(-0.5) * pyy
            out[5], out[6], out[7], out[8] = p0 / op, d6, d7, d8
    return sums
