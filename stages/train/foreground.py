"""The person's own colour where the picture mixes it with what is behind: at soft edges, in hair.

What is seen is C = a F + (1 - a) B. With the mean colours of person and ground nearby for F' and B',

    F = F' + a (C - a F' - (1 - a) B'),

one step of blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021), with means over what is
person or ground all but for sure. FlashAvatar shows a C, ground and all, and an avatar learns a rim of it.
"""

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE, STRICT, f4

BLOCK = 4  # pixels: side of what is one place in the tables of means
NEAR, AROUND = 1, 4  # blocks to each side: whose colours count, and where these are none
FALLBACK = f4(0.02)  # weight of what is around against what is near


@nb.njit(fastmath=STRICT, nogil=True, cache=CACHE)
def nearby(image, cover):
    """(H,H,3) uint8, (H,H) float32 in 0..1 -> (n,n,6) float32: mean colours of the person and of the ground nearby."""
    totals = _sums(image, cover)
    near, around = _spread(totals, NEAR), _spread(totals, AROUND)
    n = len(totals)
    means = np.empty((n, n, 6), np.float32)
    for i in range(n):
        for j in range(n):
            person = f4(1) / (near[i, j, 6] + FALLBACK * around[i, j, 6] + f4(1e-6))
            ground = f4(1) / (near[i, j, 7] + FALLBACK * around[i, j, 7] + f4(1e-6))
            for c in range(3):
                means[i, j, c] = person * (near[i, j, c] + FALLBACK * around[i, j, c])
                means[i, j, 3 + c] = ground * (near[i, j, 3 + c] + FALLBACK * around[i, j, 3 + c])
    return means


@nb.njit(fastmath=STRICT, nogil=True, cache=CACHE)
def _sums(image, cover):
    """-> (n,n,8) float32: each block's sums of a^8 C, (1 - a)^8 C, a^8, (1 - a)^8."""
    size = cover.shape[0]
    n = (size + BLOCK - 1) // BLOCK
    out = np.empty((n, n, 8), np.float32)
    for i in range(n):
        for j in range(n):
            r, g, b, red, green, blue, person, ground = f4(0), f4(0), f4(0), f4(0), f4(0), f4(0), f4(0), f4(0)
            for y in range(BLOCK * i, min(BLOCK * i + BLOCK, size)):
                for x in range(BLOCK * j, min(BLOCK * j + BLOCK, size)):
                    p = cover[y, x]
                    q = f4(1) - p
                    p, q = p * p, q * q
                    p, q = p * p, q * q
                    p, q = p * p, q * q
                    r += p * f4(image[y, x, 0])
                    g += p * f4(image[y, x, 1])
                    b += p * f4(image[y, x, 2])
                    red += q * f4(image[y, x, 0])
                    green += q * f4(image[y, x, 1])
                    blue += q * f4(image[y, x, 2])
                    person += p
                    ground += q
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = r, g, b
            out[i, j, 3], out[i, j, 4], out[i, j, 5] = red, green, blue
            out[i, j, 6], out[i, j, 7] = person, ground
    return out


@nb.njit(fastmath=STRICT, nogil=True, cache=CACHE)
def _spread(totals, reach):
    """(n,n,8), each place summed with its neighbours up to so many away; beyond the border there are none."""
    n = len(totals)
    along, out = np.zeros_like(totals), np.zeros_like(totals)
    for i in range(n):
        for j in range(n):
            for k in range(max(j - reach, 0), min(j + reach + 1, n)):
                for c in range(8):
                    along[i, j, c] += totals[i, k, c]
    for i in range(n):
        for k in range(max(i - reach, 0), min(i + reach + 1, n)):
            for j in range(n):
                for c in range(8):
                    out[i, j, c] += along[k, j, c]
    return out


@nb.njit(fastmath=STRICT, cache=CACHE, inline="always")
def colour(seen, a, y, x, c, means):
    """Channel c of the person's own colour at pixel (y, x), of what is `seen` there and how much is person, `a`."""
    n = len(means)
    v = min(max((f4(y) + f4(0.5)) / f4(BLOCK) - f4(0.5), f4(0)), f4(n - 1))
    u = min(max((f4(x) + f4(0.5)) / f4(BLOCK) - f4(0.5), f4(0)), f4(n - 1))
    i, j = min(int(v), max(n - 2, 0)), min(int(u), max(n - 2, 0))
    s, t = v - f4(i), u - f4(j)
    k, m = min(i + 1, n - 1), min(j + 1, n - 1)
    front = _between(means, c, i, j, k, m, s, t)
    behind = _between(means, 3 + c, i, j, k, m, s, t)
    return min(max(front + a * (seen - a * front - (f4(1) - a) * behind), f4(0)), f4(255))


@nb.njit(fastmath=STRICT, cache=CACHE, inline="always")
def _between(means, c, i, j, k, m, s, t):
    above = means[i, j, c] + t * (means[i, m, c] - means[i, j, c])
    below = means[k, j, c] + t * (means[k, m, c] - means[k, j, c])
    return above + s * (below - above)
