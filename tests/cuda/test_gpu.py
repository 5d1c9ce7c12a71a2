"""On a GPU: our kernels and training against the CPU's at real sizes. Without one, all of it skips.

In an environment that has PyTorch's build for CUDA, numba-cuda and pytest. Without a GPU the same code is held against
the CPU's in the simulator (tests/train/cuda).
"""

import io
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from avatarmake import ROOT
from avatarmake.errors import StageError
from bench.rasteriser import scene
from stages.train import rasteriser
from stages.train.avatar import Avatar, fresh
from stages.train.backend import Backend, choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from tests.train import subject


@pytest.fixture(scope="module")
def own() -> Backend:
    try:
        return choose("cuda")
    except StageError as e:
        pytest.skip(f"no GPU: {e}")


@pytest.fixture(scope="module")
def files(own, tmp_path_factory) -> tuple:
    return subject.write(tmp_path_factory.mktemp("thirty"), 30, size=256, gaussians=5000)


def gradients(rasterise, count: int, size: int, device: str) -> list[torch.Tensor]:
    tensors, camera = scene(count, size)
    leaves = [x.to(device).requires_grad_() for x in tensors]
    image = rasterise(*leaves, camera)
    image.backward(torch.randn(4, size, size, generator=torch.Generator().manual_seed(1)).to(device))
    return [image.detach().cpu(), *(x.grad.cpu() for x in leaves)]


@pytest.mark.parametrize("size", [256, 512])
def test_image_and_every_gradient(own, size):
    """But for pixels whose alpha is within rounding of 1/255, on either side of which they may fall."""
    found, true = gradients(own.rasterise, 14000, size, "cuda"), gradients(rasteriser.rasterise, 14000, size, "cpu")
    for a, b in zip(found, true, strict=True):
        off = (a - b).abs() / b.abs().max()
        assert off.mean() < 1e-6 and (off > 1e-4).float().mean() < 1e-4 and off.max() < 1e-2


def test_a_picture_drawn_twice_is_the_same_and_so_are_its_gradients(own):
    one, two = (gradients(own.rasterise, 14000, 512, "cuda") for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def new(files: tuple, backend: Backend, steps: int = 60, views: int = 1) -> Trainer:
    from stages.train.cuda.trainer import CudaTrainer

    dataset = Dataset(*files)
    parts = split(len(dataset))
    kind = CudaTrainer if backend.resident else Trainer
    avatar = fresh(dataset, parts.train, 5000, 0, backend)
    return kind(avatar, dataset, parts, Schedule(steps, 256, 0.0, 0, views), 40.0)


def losses(trainer: Trainer, steps: int) -> np.ndarray:
    found = []
    for _ in range(steps):
        trainer.step()
        found.append(trainer.means()[0])
    return np.array(found)


@pytest.mark.parametrize("views", [1, 2])
def test_training_follows_the_cpu_s_and_is_launched_as_a_graph(own, files, views):
    device = new(files, own, views=views)
    found, true = losses(device, 20), losses(new(files, choose("cpu"), views=views), 20)
    assert np.abs(found[:5] / true[:5] - 1).max() < 1e-3 and np.abs(found / true - 1).max() < 0.05
    assert device._step.graph is not None, "the step could not be captured"


def test_one_seed_one_avatar(own, files):
    runs = []
    for _ in range(2):
        trainer = new(files, own)
        losses(trainer, 40)
        runs.append(trainer.avatar.network.state_dict())
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_pictures_that_do_not_fit_are_streamed(own, files, monkeypatch):
    whole = losses(new(files, own), 40)
    monkeypatch.setattr("stages.train.cuda.trainer.SPAN", 4)
    monkeypatch.setattr("stages.train.cuda.frames.SHARE", 0.0)
    trainer = new(files, own)
    assert np.array_equal(losses(trainer, 40), whole) and len(trainer._frames.pictures) == 8


def test_its_checkpoint_goes_on_on_the_cpu(own, files):
    trainer = new(files, own)
    losses(trainer, 10)
    saved = io.BytesIO()
    torch.save(trainer.state(), saved)
    state = torch.load(io.BytesIO(saved.getvalue()), weights_only=True)
    assert not any(x.is_cuda for x in state["optimiser"]["first"])
    cpu = Trainer(Avatar.restored(state, choose("cpu")), trainer.dataset, trainer.split, trainer.schedule, 40.0)
    cpu.restore(state)
    assert np.abs(losses(cpu, 3) / losses(trainer, 3) - 1).max() < 1e-3


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck"])
def test_nothing_is_read_or_written_out_of_place(own, tool):
    sanitizer = shutil.which("compute-sanitizer")
    if not sanitizer:
        pytest.skip("needs compute-sanitizer, which is in CUDA's toolkit")
    script = (
        "from tests.cuda.test_gpu import gradients; from stages.train.backend import choose;"
        "gradients(choose('cuda').rasterise, 2000, 100, 'cuda')"
    )
    words = [sanitizer, f"--tool={tool}", "--error-exitcode=9", sys.executable, "-c", script]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
