"""Which Gaussians each tile has to blend, on CUDA: pairs (tile, Gaussian), sorted by tile and front to back in each.

    order   torch.sort of the depths: Gaussians front to back, the index breaks ties
    ends    torch.cumsum of `count`: where each Gaussian's pairs end, front to back
    emit    the pairs; torch.sort of their tiles, which keeps what is equal in its order, makes the lists

There is room for so many pairs and no more, because a CUDA graph's arrays cannot grow: ends[-1] says how many there
are, and those beyond are left out, the furthest ones.
"""

from numba import cuda

from avatarmake.avatar.cuda.kernel import Kernel

TILE, TALL = 16, 16  # pixels; a thread each
MOST = 2**15 - 1  # tiles: they are sorted as int16, in two passes instead of four


@Kernel
def count(order, boxes, counts):
    """counts (N,) int32: how many tiles each Gaussian's box touches, front to back."""
    k = cuda.grid(1)
    if k < order.shape[0]:
        x0, x1, y0, y1 = boxes[order[k], 0], boxes[order[k], 1], boxes[order[k], 2], boxes[order[k], 3]
        some = ((x1 - 1) // TILE - x0 // TILE + 1) * ((y1 - 1) // TALL - y0 // TALL + 1)
        counts[k] = some if x1 > x0 else 0


@Kernel
def emit(order, boxes, counts, ends, columns, tiles, owners, starts):
    """tiles (C,) int16 and owners (C,) int32 of each pair; starts (N,) int32: where a Gaussian's pairs begin."""
    k = cuda.grid(1)
    if k < order.shape[0]:
        i = order[k]
        at = ends[k] - counts[k]
        starts[i] = at
        if counts[k] > 0:
            for v in range(boxes[i, 2] // TALL, (boxes[i, 3] - 1) // TALL + 1):
                for u in range(boxes[i, 0] // TILE, (boxes[i, 1] - 1) // TILE + 1):
                    if at < tiles.shape[0]:
                        tiles[at], owners[at] = v * columns + u, i
                        at += 1
