"""Our CUDA kernels without a GPU: what they compile to, and what they compute in numba's simulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs numba-cuda, which has no wheel for this system")

from avatarmake import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning")


def test_every_kernel_compiles_for_every_architecture_to_float32_in_registers():
    from bench.cuda_code import ARCHITECTURES, KERNELS, faults, ptx

    for kernel in KERNELS:
        codes = ptx(kernel)
        assert list(codes) == list(ARCHITECTURES) and all(f".target sm_{a}\n" in code for a, code in codes.items())
        assert {a: sum(faults(code).values()) for a, code in codes.items()} == dict.fromkeys(codes, 0), kernel.__name__


def test_what_is_not_wanted_in_a_kernel_is_seen():
    from bench.cuda_code import faults

    code = ".reg .f64 %fd<3>;\n mul.f64 %fd1, %fd2, 0d3FF;\n st.local.f32 [%rd1], %f64;\n call.uni f;\n add.f32 %f1, %f64, %f2;"
    assert faults(code) == {"float64": 1, "local": 1, "calls": 1}


def test_in_the_simulator_they_compute_what_the_cpu_s_do():
    """In a process of its own: numba is either the one or the other."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).with_name("simulated.py"))]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_BOUNDSCHECK": "0"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
