"""Where the arithmetic runs: our numba kernels on the CPU, or plain torch and gsplat on CUDA."""

import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from avatarmake.errors import Exit, StageError
from avatarmake.limits import cores


class Backend(NamedTuple):
    """The three differentiable pieces of a step, with the signatures of binding.bind, rasteriser.rasterise and
    losses.huber, and the device their tensors live on."""

    device: torch.device
    bind: Callable
    rasterise: Callable
    huber: Callable


def choose(device: str) -> Backend:
    """`auto`: CUDA where there are a GPU and gsplat, else the CPU. StageError when cuda is asked for and absent."""
    if device not in ("auto", "cpu", "cuda"):
        raise StageError(f"no device is called '{device}'", next="Use auto, cpu or cuda", exit=Exit.USAGE)
    if device == "cpu":
        return _cpu()
    missing = _missing()
    if not missing:
        return _cuda()
    if device == "cuda":
        raise StageError(f"DEVICE=cuda needs {missing}", next="Use DEVICE=cpu", exit=Exit.ENVIRONMENT)
    if torch.version.cuda:  # of a build for the CPU the engine has said why
        print(f"train: on the CPU; CUDA needs {missing}", flush=True)
    return _cpu()


def _missing() -> str:
    from importlib.util import find_spec

    if not torch.cuda.is_available():
        return f"a GPU that PyTorch can use, and there is none: {_why_none()}"
    return "" if find_spec("gsplat") else "gsplat, which is not installed"


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
    from stages.train import binding, losses, rasteriser_cuda

    return Backend(torch.device("cuda"), binding.bind_torch, rasteriser_cuda.rasterise, losses.huber_torch)
