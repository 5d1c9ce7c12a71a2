"""Kernels and their launches. Arrays come from PyTorch; this file is the only one that knows how they get to numba."""

import math
from collections.abc import Callable

from numba import config, cuda
from numba.cuda.core import config as cuda_config

cuda_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # one warp for a camera is as meant
SIMULATED = bool(config.ENABLE_CUDASIM)  # NUMBA_ENABLE_CUDASIM=1: no GPU, threads of Python, tensors of the CPU
THREADS = 128  # a block, where each thread has one Gaussian, pixel or number to itself


class Kernel:
    """A function of one CUDA thread. Compiled for the GPU at hand when it is first launched."""

    def __init__(self, function: Callable):
        self.function, self.__name__, self.__doc__ = function, function.__name__, function.__doc__
        self.compiled = cuda.jit(function)

    def __call__(self, blocks: int | tuple[int, int], threads: int | tuple[int, int], *arguments) -> None:
        """Launch it on PyTorch's current stream. Tensors must be contiguous; nothing is waited for."""
        if blocks == 0:
            return
        if SIMULATED:
            self.compiled[blocks, threads](*(x.numpy() if hasattr(x, "numpy") else x for x in arguments))
        else:
            self.compiled[blocks, threads, _stream()](*map(_array, arguments))

    def each(self, count: int, *arguments) -> None:
        """Launch it with a thread for each of `count`; the kernel itself checks that its number is below that."""
        self(math.ceil(count / THREADS), THREADS, *arguments)


def _stream():
    import torch

    return cuda.external_stream(torch.cuda.current_stream().cuda_stream)


def _array(x):
    """A tensor as numba's array over the same memory, without waiting for anybody."""
    return cuda.as_cuda_array(x, sync=False) if hasattr(x, "__cuda_array_interface__") else x
