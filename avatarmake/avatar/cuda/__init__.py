"""The CPU's kernels once more for CUDA, by numba-cuda: no compiler and no writable folder is needed where they run.

What is computed is written once: what happens to one Gaussian, one pixel, one number is a function beside the CPU's
kernel (projection.py, blending.py, binding.py), and both call it. Here is who computes which: threads, shared memory.
All is float32. Sums are taken in a fixed order, without atomics, so that two runs give the same bits.
"""
