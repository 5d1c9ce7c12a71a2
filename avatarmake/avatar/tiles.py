"""The image in tiles of TILE x TALL pixels, and which Gaussians each of them has to blend."""

import numba as nb
import numpy as np

from avatarmake.avatar.projection import CACHE

TILE = 16
TALL = 32  # what is summed column by column ends in fewer tiles where they are tall


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
            for v in range(y0 // TALL, (y1 - 1) // TALL + 1):
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
        for v in range(y0 // TALL, (y1 - 1) // TALL + 1):
            for u in range(x0 // TILE, (x1 - 1) // TILE + 1):
                k = v * columns + u
                ids[fill[k]], slots[fill[k]] = i, slot
                fill[k] += 1
                slot += 1
    return offsets, ids, slots, starts
