"""What our CUDA kernels compile to, which needs no GPU: float64, local memory, and by ptxas registers and spills.

    python -m bench.cuda_code [--architectures 80 86 89 90 100] [--ptxas PATH]

It ends with 1 where there is any of the first two, or a call. PTX is made by numba-cuda's own compiler. ptxas is in
CUDA's toolkit, or in the wheel nvidia-cuda-nvcc (pip download; it is not installed here): bin/ptxas of it.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterable
from pathlib import Path

import numba.cuda.dispatcher
from numba import float32, int16, int32, int64, uint8
from numba.cuda import compiler

from avatarmake.avatar.cuda import binding, blending, projection, tiles
from avatarmake.avatar.cuda.kernel import Kernel
from stages.train.cuda import adam, cameras, losses

ARCHITECTURES = (80, 86, 89, 90, 100)
f, i = float32, int64
f1, f2, f3, i1, i2, l1 = float32[::1], float32[:, ::1], float32[:, :, ::1], int32[::1], int32[:, ::1], int64[::1]
LISTS = (f2, i1, i1, l1, i)  # splats, offsets, owners, order, columns
BOUND = (f2, i2, f2, f1, f1, f1)  # vertices, a surface, step, start_scale
KERNELS: dict[Kernel, tuple] = {
    binding.bind: (f2, *BOUND, f, f, f, f2, f3, f1, f2),
    binding.bind_backward: (f2, f3, f1, f2, f2, f1, *BOUND, f, f, f2),
    projection.project: (f2, f3, f1, f2, f2, f1, f, f, f, f, i, i, f2, i2, i1),
    projection.project_backward: (f2, i1, f2, i2, i, i, f2, f3, f2, f1, f, f, f2, f3, f1, f2, f2),
    tiles.count: (l1, i2, i1),
    tiles.emit: (l1, i2, i1, i1, i, int16[::1], i1, i1),
    blending.blend: (*LISTS, f1, f3),
    blending.blend_backward: (f3, f3, *LISTS, f2),
    losses.huber_kernel: (f3, uint8[:, :, :, ::1], l1, f, f, f3, f3),
    cameras.correct: (l1, f2, f2, f2, f3, f2, f2, f1),
    cameras.teach: (l1, f2, f2, f1, f2, f1, f, f, f2, f2, f2, f2, f2, f2, i1, i1),
    adam.step: (f1, f1, f1, f1, f1, f, f),
}


def code_of(kernel: Kernel, architectures: Iterable[int] = ARCHITECTURES) -> dict[int, tuple[str, bytes]]:
    """The kernel's PTX for each sm_<architecture>, and what a driver loads there.

    As a launch makes them, whose first half, which takes most of the time, is the same for all.
    """
    capabilities = {architecture: divmod(architecture, 10) for architecture in architectures}
    oldest = min(capabilities.values())
    # numba asks the GPU at hand what it is when it compiles a function that a kernel calls
    numba.cuda.dispatcher.get_current_device = lambda: types.SimpleNamespace(compute_capability=oldest)
    how = dict(device=False, abi="numba", cc=oldest)
    library, _ = compiler._compile_pyfunc_with_fixup(kernel.function, KERNELS[kernel], **how)
    return {a: (library.get_asm_strs(cc=cc)[0], library.get_cubin(cc=cc).code) for a, cc in capabilities.items()}


def faults(code: str) -> dict[str, int]:
    """How many instructions work on float64, touch local memory, call a function."""
    body = [line for line in code.splitlines() if not line.strip().startswith((".reg", "//"))]
    words = {"float64": r"\.f64\b", "local": r"\.local\b", "calls": r"^\s*call\b"}
    return {name: sum(bool(re.search(word, line)) for line in body) for name, word in words.items()}


def resources(code: str, architecture: int, ptxas: str) -> tuple[int, int, int]:
    """-> registers a thread, bytes spilled a thread (stores and loads), bytes of shared memory a block."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "code.ptx").write_text(code)
        words = [ptxas, f"-arch=sm_{architecture}", "-v", "-o", "/dev/null", "code.ptx"]
        said = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stderr
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
    shared = re.search(r"(\d+) bytes smem", said)
    return int(re.search(r"Used (\d+) registers", said)[1]), spilled, int(shared[1]) if shared else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, nargs="+", default=ARCHITECTURES)
    parser.add_argument("--ptxas", default=shutil.which("ptxas"))
    args = parser.parse_args()
    began = time.process_time()
    made = {kernel: code_of(kernel, args.architectures) for kernel in KERNELS}
    seconds = time.process_time() - began
    print(f"{seconds:.1f} s of CPU for {len(KERNELS)} kernels, {len(args.architectures)} architectures")
    wrong = False
    for kernel, codes in made.items():
        for architecture, (code, cubin) in codes.items():
            found = ", ".join(f"{count} {name}" for name, count in faults(code).items() if count)
            wrong |= bool(found)
            line = f"{kernel.__name__}, sm_{architecture}: {found or 'float32 only'}, {len(cubin)} bytes linked"
            if args.ptxas:
                line += ", {} registers, {} bytes spilled, {} shared".format(*resources(code, architecture, args.ptxas))
            print(line)
    if wrong:
        sys.exit("float64, local memory or calls where none are wanted")


if __name__ == "__main__":
    main()
