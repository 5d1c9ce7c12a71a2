"""The tests that compare numbers, as they would run on processors with other instructions, with one and two threads.

    python -m tests.processors [pytest's options]

Each library that picks its kernels by the processor is told which it may take: numpy, its OpenBLAS, torch with oneDNN
and MKL in it, and numba. A processor can only be told that it has less, so what it has by itself is `make test`.
"""

import os
import subprocess
import sys
import time

from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__


def without(*words: str) -> str:
    """numpy's names of those instructions that it would take here and that have one of `words` in their name."""
    return " ".join(n for n in __cpu_dispatch__ if __cpu_features__.get(n) and any(word in n for word in words))


def threads(count: int) -> dict[str, str]:
    return {f"{name}_NUM_THREADS": str(count) for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


PROCESSORS = {
    "SSE, one thread": threads(1) | {
        "NPY_DISABLE_CPU_FEATURES": without("AVX", "F16C", "FMA"),
        "OPENBLAS_CORETYPE": "Nehalem",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "NUMBA_CPU_NAME": "generic",  # SSE2, and no fused multiply-add
    },
    "AVX2, two threads": threads(2) | {
        "NPY_DISABLE_CPU_FEATURES": without("AVX512"),
        "OPENBLAS_CORETYPE": "Haswell",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+sse4.2",
    },
}  # fmt: skip


def main(options: list[str]) -> int:
    """Both at once: the larger part of the time is numba's, which compiles for each anew."""
    words = [sys.executable, "-m", "pytest", "-qq", "-m", "numbers", "-p", "no:cacheprovider", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    began, failed = time.monotonic(), 0
    runs = {name: subprocess.Popen(words, env=os.environ | told, **pipes) for name, told in PROCESSORS.items()}
    for name, run in runs.items():
        out = run.communicate()[0]
        failed |= run.returncode
        print(f"{out if run.returncode else ''}as on {name}: {'FAILED' if run.returncode else 'the numbers hold'}")
    print(f"{time.monotonic() - began:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
