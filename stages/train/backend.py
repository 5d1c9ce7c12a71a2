"""Where the arithmetic runs: our numba kernels, on the CPU or on CUDA, or plain torch and gsplat on CUDA."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import torch

from avatarmake.errors import Exit, StageError
from avatarmake.limits import cores


class Backend(NamedTuple):
    """The three differentiable pieces of a step, with the signatures of binding.bind, rasteriser.rasterise and
    losses.huber, and the device their tensors live on. `resident`: steps may be launched there as a whole, by
    cuda.trainer.CudaTrainer."""

    device: torch.device
    bind: Callable
    rasterise: Callable
    huber: Callable
    resident: bool = False


def choose(device: str, rasteriser: str = "own") -> Backend:
    """`auto`: CUDA where there are a GPU and what `rasteriser` (own, gsplat) needs, else the CPU. StageError when cuda,
    or gsplat, is asked for and cannot be had."""
    if device not in ("auto", "cpu", "cuda"):
        raise StageError(f"no device is called '{device}'", next="Use auto, cpu or cuda", exit=Exit.USAGE)
    if rasteriser not in ("own", "gsplat"):
        raise StageError(f"no rasteriser is called '{rasteriser}'", next="Use own or gsplat", exit=Exit.USAGE)
    if device == "cpu" and rasteriser == "gsplat":
        raise StageError("gsplat draws on CUDA only", next="Use DEVICE=cuda, or RASTERISER=own", exit=Exit.USAGE)
    missing = "" if device == "cpu" else _missing(rasteriser)
    if missing and (device == "cuda" or rasteriser == "gsplat"):
        asked = f"DEVICE={device}" if rasteriser == "own" else "RASTERISER=gsplat"
        raise StageError(f"{asked} needs {missing}", next="Use DEVICE=cpu RASTERISER=own", exit=Exit.ENVIRONMENT)
    if missing and torch.version.cuda:  # of a build for the CPU the engine has said why
        print(f"train: on the CPU; CUDA needs {missing}", flush=True)
    if device == "cpu" or missing:
        return _cpu()
    return _cuda() if rasteriser == "own" else _gsplat()


def _missing(rasteriser: str) -> str:
    if not torch.cuda.is_available():
        return f"a GPU that PyTorch can use, and there is none: {_why_none()}"
    if rasteriser == "own":
        return "" if find_spec("numba_cuda") else "numba-cuda, which is not installed"
    if not find_spec("gsplat"):
        return "gsplat, which is not installed"
    from gsplat.cuda._backend import _C  # it imports even where it could not be compiled, and fails at the first step

    return "" if _C else "gsplat's CUDA code, which it compiles at first use: nvcc and a C++ compiler are missing"


def _why_none() -> str:
    """What the engine has found on this host, else the first sentence of what PyTorch says."""
    if said := os.environ.get("AVATARMAKE_NO_GPU"):
        return said
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as e:
        return str(e).splitlines()[0].split(". ")[0]
    return "CUDA starts and lists none"


def _cpu() -> Backend:
    import numba

    from stages.train import binding, losses, rasteriser

    # numba looks at the cores that a process is bound to, not at what its container is held to. What is left to torch
    # takes 2 ms of one thread in a dozen pieces; after each, two would wait for each other, beside other work for long.
    torch.set_num_threads(1)
    numba.set_num_threads(min(numba.get_num_threads(), cores()))

    return Backend(torch.device("cpu"), binding.bind, rasteriser.rasterise, losses.huber)


def _cuda() -> Backend:
    from stages.train.cuda import differentiable as own

    return Backend(torch.device("cuda"), own.bind, own.rasterise, own.huber, resident=True)


def _gsplat() -> Backend:
    from stages.train import binding, gsplat, losses

    return Backend(torch.device("cuda"), binding.bind_torch, gsplat.rasterise, losses.huber_torch)
