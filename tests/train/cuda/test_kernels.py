"""Our CUDA kernels without a GPU: what they compile to, and what they compute in numba's simulator.

Of both a part, for time's sake: the kernels that others are like, and one scene and one training. All of it is
`make test-cuda`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba_cuda", reason="needs numba-cuda, which has no wheel for this system")

from avatarmake import ROOT

SIMULATED = ("test_image_and_every_gradient[opaque]", "test_several_frames_a_step_and_a_room_that_was_short")


def test_kernels_compile_for_every_architecture_to_float32_in_registers():
    from bench.cuda_code import ARCHITECTURES, KERNELS, code_of, faults

    for kernel in [k for k in KERNELS if k.__name__ in ("project", "blend_backward", "correct")]:
        made = code_of(kernel)
        codes = {architecture: code for architecture, (code, _) in made.items()}
        assert all(linked.startswith(b"\x7fELF") for _, linked in made.values())
        assert list(codes) == list(ARCHITECTURES) and all(f".target sm_{a}\n" in code for a, code in codes.items())
        assert all(".visible .entry" in code for code in codes.values())
        assert {a: sum(faults(code).values()) for a, code in codes.items()} == dict.fromkeys(codes, 0), kernel.__name__


def test_what_is_not_wanted_in_a_kernel_is_seen():
    from bench.cuda_code import faults

    code = (".reg .f64 %fd<3>;", "mul.f64 %fd1, 0d3FF;", "st.local.f32 [%rd1], %f64;", "call.uni f;", "add.f32 %f64;")
    assert faults("\n".join(code)) == {"float64": 1, "local": 1, "calls": 1}


def test_in_the_simulator_they_compute_what_the_cpu_s_do():
    """In a process of its own: numba is either the one or the other."""
    words = [f"{Path(__file__).with_name('simulated.py')}::{name}" for name in SIMULATED]
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_BOUNDSCHECK": "0"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
