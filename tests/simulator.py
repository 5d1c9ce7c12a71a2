"""numba's CUDA simulator with threads that take turns in a random order, for a process with NUMBA_ENABLE_CUDASIM=1.

numba's own lets Python's threads run as they like, which is slow and tries one order only. Here each runs alone up to
its next __syncthreads, in an order drawn anew every time: what depends on it is a race. All threads of a block must
meet at the same line. Arrays are numpy's own, so that compiled functions take them.
"""

import random
import sys
import threading
from _thread import allocate_lock

import numpy as np
from numba.cuda.simulator import kernel, kernelapi
from numba.cuda.simulator.kernelapi import Dim3

chance = random.Random(0)


class Thread(threading.Thread):
    """One CUDA thread, which runs when it is given its turn."""

    def __init__(self, block, work, block_index, index):
        super().__init__(daemon=True)
        self.block, self.work, self.blockIdx, self.threadIdx = block, work, Dim3(*block_index), Dim3(*index)
        self.turn, self.place, self.error = allocate_lock(), "", None
        self.turn.acquire()

    def run(self):
        self.turn.acquire()
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001, it is raised where the block is run
            self.error = error
        self.place = "end"
        self.block.back.release()

    def syncthreads(self):
        frame = sys._getframe(1)
        while "/numba" in frame.f_code.co_filename:
            frame = frame.f_back
        self.place = f"{frame.f_code.co_name}:{frame.f_lineno}"
        self.block.back.release()
        self.turn.acquire()

    def syncthreads_and(self, value) -> bool:
        self.block.votes.append(bool(value))
        self.syncthreads()
        return self.block.all


class Block:
    """Stands in for numba's BlockManager."""

    def __init__(self, function, grid, block, debug):
        self.function, self.shape = function, block
        self.back, self.votes, self.all = allocate_lock(), [], False
        self.back.acquire()

    def run(self, block_index, *arguments):
        points = list(np.ndindex(*self.shape))
        chance.shuffle(points)
        if not any("syncthreads" in name for name in self.function.__code__.co_names):
            me = threading.current_thread()  # nobody waits for anybody: one after the other
            for point in points:
                me.blockIdx, me.threadIdx = Dim3(*block_index), Dim3(*point)
                self.function(*arguments)
            return
        threads = [Thread(self, lambda: self.function(*arguments), block_index, point) for point in points]
        for thread in threads:
            thread.start()
        while True:
            chance.shuffle(threads)
            for thread in threads:
                thread.turn.release()
                self.back.acquire()
                if thread.error:
                    raise thread.error
            places = {thread.place for thread in threads}
            assert len(places) == 1, f"threads of a block wait for each other at different places: {places}"
            if places == {"end"}:
                return
            self.all, self.votes = all(self.votes), []


def _shared(self, shape, dtype, alignment=None):
    """An array for each line that asks for one; numba's own reads the source file for it, for every thread."""
    return self._allocations.setdefault(sys._getframe(1).f_lineno, np.full(shape, np.nan, str(dtype)))


kernel.BlockManager = Block
kernel.FakeWithinKernelCUDAArray = lambda fake: fake._ary
kernelapi.FakeCUDAShared.array = _shared
