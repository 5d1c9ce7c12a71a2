"""What test_kernels.py runs in the simulator: every kernel, and training with them, against the CPU's.

Threads take turns in random orders (tests/simulator.py): what depended on the order would differ from run to run.
"""

import io

import numpy as np
import pytest
import torch

from bench.rasteriser import scene
from stages.train import binding, losses
from stages.train.adam import Adam
from stages.train.avatar import Avatar, fresh
from stages.train.backend import Backend, choose
from stages.train.cuda import adam, differentiable
from stages.train.cuda import rasteriser as own
from stages.train.cuda import trainer as resident
from stages.train.cuda.cameras import Cameras
from stages.train.cuda.trainer import CudaTrainer
from stages.train.dataset import Dataset
from stages.train.poses import Poses
from stages.train.rasteriser import rasterise
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer
from tests import simulator
from tests.train import subject

NEAR = 1e-5  # of the largest value
DEVICE = Backend(torch.device("cpu"), differentiable.bind, differentiable.rasterise, differentiable.huber, True)


def near(a, b, within: float = NEAR) -> bool:
    return bool((a - b).abs().max() <= within * b.abs().max() + 1e-12)


def gradients(tensors: list, camera, rasterise_, ground=(1.0, 1.0, 1.0)) -> list[torch.Tensor]:
    """The image, and the gradients by all that it is made of."""
    leaves = [x.clone().requires_grad_() for x in tensors]
    image = rasterise_(*leaves, camera, ground)
    image.backward(torch.randn(image.shape, generator=torch.Generator().manual_seed(7)))
    return [image.detach(), *(x.grad for x in leaves)]


def borders() -> tuple:
    tensors, camera = scene(60, 32, seed=1, pixels=(0.5, 4.0))
    return tensors, camera._replace(width=21, height=19)


def behind() -> tuple:
    tensors, camera = scene(60, 24, seed=3, pixels=(1.0, 6.0))
    tensors[0] = tensors[0] * 2.5  # wider than the image
    tensors[0][:10, 2], tensors[0][10:20, 2] = 1.5, 0.795  # behind the camera; nearer than the near plane
    return tensors, camera


def opaque() -> tuple:
    """More in the one tile than a block holds at once, and nothing to be seen through the most of them."""
    tensors, camera = scene(300, 16, seed=2, pixels=(2.0, 5.0))
    tensors[2] = torch.where(torch.arange(300) % 2 == 0, 0.9999, tensors[2])
    tensors[2][:30] = 0.003  # below 1/255: not there
    return tensors, camera


def wide() -> tuple:
    """As many, and every one of them counts."""
    tensors, camera = scene(150, 16, seed=5, pixels=(1.0, 8.0))
    tensors[2] = tensors[2] * 0.03
    return tensors, camera


@pytest.mark.parametrize("made", [borders, behind, opaque, wide])
def test_image_and_every_gradient(made):
    tensors, camera = made()
    found, true = (gradients(tensors, camera, f) for f in (differentiable.rasterise, rasterise))
    assert all(near(a, b) for a, b in zip(found, true, strict=True))
    assert all(b.any() for b in true)


def test_the_order_of_threads_changes_no_bit():
    simulator.chance.seed(1)
    one = gradients(*borders(), differentiable.rasterise)
    simulator.chance.seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one, gradients(*borders(), differentiable.rasterise), strict=True))


def test_an_empty_image_is_the_background():
    tensors, camera = scene(10, 16)
    tensors[0][:, 2] = 5.0
    image, *found = gradients(tensors, camera, differentiable.rasterise, (0.25, 0.5, 1.0))
    assert torch.equal(image[:, 3, 4], torch.tensor([0.25, 0.5, 1.0, 0.0])) and not any(g.any() for g in found)


def test_room_grows_until_all_pairs_fit(monkeypatch):
    true = gradients(*borders(), differentiable.rasterise)
    monkeypatch.setattr(own, "PAIRS", 0)
    monkeypatch.setattr(own, "LEAST", 9)
    assert all(torch.equal(a, b) for a, b in zip(gradients(*borders(), differentiable.rasterise), true, strict=True))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple:
    return subject.write(tmp_path_factory.mktemp("seven"), 7, size=64, gaussians=800)


def new(files: tuple, kind: type[Trainer], size: int = 16, views: int = 1, gaussians: int = 60) -> Trainer:
    dataset, backend = Dataset(*files), DEVICE if kind is CudaTrainer else choose("cpu")
    parts = split(len(dataset))
    avatar = fresh(dataset, parts.train, gaussians, 0, backend)
    return kind(avatar, dataset, parts, Schedule(6, size, 0.5, 0, views), 40.0)


def losses_of(trainer: Trainer, steps: int) -> np.ndarray:
    found = []
    for _ in range(steps):
        trainer.step()
        found.append(trainer.means())
    return np.array(found)


def test_binding_and_loss(files):
    trainer = new(files, Trainer)
    surface, mesh = trainer.avatar.surface, trainer.dataset.vertices(2)
    learned = torch.randn(60, 14, generator=torch.Generator().manual_seed(1)) * 0.3
    learned[:5, 7:10] = 9.0  # beyond the bound of the scale
    outs, grads = [], []
    for bind in (binding.bind, differentiable.bind):
        leaf = learned.clone().requires_grad_()
        outs.append(bind(leaf, mesh, surface))
        g = torch.Generator().manual_seed(2)
        sum((x * torch.randn(x.shape, generator=g)).sum() for x in outs[-1]).backward()
        grads.append(leaf.grad)
    assert all(near(b, a) for a, b in zip(*outs, strict=True)) and near(grads[1], grads[0])
    picture, image = trainer.dataset.picture(1, 16), torch.rand(4, 16, 16, generator=torch.Generator().manual_seed(3))
    found = []
    for huber in (losses.huber, differentiable.huber):
        leaf = image.clone().requires_grad_()
        loss, mse = huber(leaf, picture, 40.0)
        (2 * loss).backward()
        found.append((loss, mse, leaf.grad))
    assert all(near(b, a) for a, b in zip(*found, strict=True))


def test_adam():
    start, gradient = torch.randn(2, 300, generator=torch.Generator().manual_seed(0))
    ours, true = ([torch.nn.Parameter(start.clone())] for _ in range(2))
    one, two = Adam([(ours[0], 0.01, 2.0)]), Adam([(true[0], 0.01, 2.0)])
    for step in range(3):
        adam.launch(one, [gradient * (step + 1)], torch.tensor(adam.now(step, 0.5)))
        true[0].grad = gradient * (step + 1)
        two.step(0.5)
    assert near(ours[0].detach(), true[0].detach()) and near(one.second[0], two.second[0])


def test_cameras():
    rng = np.random.default_rng(0)
    codes, frames = rng.standard_normal((3, 32)), torch.tensor([[2], [0], [2]])
    turns = np.linalg.qr(rng.standard_normal((3, 3, 3)))[0].astype(np.float32)
    shifts = rng.standard_normal((3, 3)).astype(np.float32)
    poses, other = (Poses(codes, (0, 1, 2), 5.0, 0.5) for _ in range(2))  # some tenths of a radian
    cameras = Cameras(other, turns, shifts, torch.device("cpu"))
    for frame in frames:
        i = int(frame)
        turn, shift = poses.camera(i, turns[i], shifts[i])
        found = cameras.of(frame)
        assert near(found[0], torch.from_numpy(turn)) and near(found[1], torch.from_numpy(shift))
        d_turn, d_shift = (rng.standard_normal(s).astype(np.float32) for s in ((3, 3), 3))
        poses.step(i, turn, d_turn, d_shift, 0.7)
        cameras.step(frame, torch.from_numpy(d_turn), torch.from_numpy(d_shift), torch.tensor([0.7, 1, 1]))
    cameras.pull()
    for name, value in poses.state().items():
        assert near(torch.from_numpy(other.state()[name] * 1.0), torch.from_numpy(value * 1.0)), name
    assert np.abs(poses.own[2]).max() > 5


def test_five_steps_of_training_follow_the_cpu_s(files, monkeypatch):
    monkeypatch.setattr(resident, "SPAN", 2)
    true, found = (losses_of(new(files, kind, 32), 5) for kind in (Trainer, CudaTrainer))
    assert np.abs(found / true - 1).max() < 1e-4  # what is off in one step changes all that follow
    assert (true[1:, 0] < true[0, 0]).all()


def test_several_frames_a_step_and_a_room_that_was_short(files, monkeypatch):
    monkeypatch.setattr(own, "PAIRS", 0)
    monkeypatch.setattr(own, "LEAST", 9)
    cpu, device = (new(files, kind, views=2) for kind in (Trainer, CudaTrainer))
    for trainer in (cpu, device):
        trainer.step()
        trainer.step()
    assert np.allclose(device.means(), cpu.means(), rtol=1e-4)
    assert device._step.rasteriser.room > 9
    assert np.abs(device.picture_of(6, 16).astype(int) - cpu.picture_of(6, 16)).max() <= 1


def test_where_there_is_no_graph_it_says_so_and_goes_on(files, monkeypatch, capsys):
    """Here PyTorch cannot make one, as a driver might not be able to."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    straight, trainer = new(files, CudaTrainer), new(files, CudaTrainer)
    found = losses_of(trainer, 1)
    trainer._step.refused, trainer._step.taken = False, 3
    assert np.array_equal(np.concatenate([found, losses_of(trainer, 2)]), losses_of(straight, 3))
    assert capsys.readouterr().out.count("train: without a CUDA graph") == 1


@pytest.mark.parametrize("first, then", [(Trainer, CudaTrainer), (CudaTrainer, Trainer)])
def test_a_checkpoint_of_the_one_goes_on_with_the_other(first, then, files):
    straight = losses_of(new(files, Trainer), 4)
    begun = new(files, first)
    before = losses_of(begun, 2)
    saved = io.BytesIO()
    torch.save(begun.state(), saved)
    state = torch.load(io.BytesIO(saved.getvalue()), weights_only=True)
    backend = DEVICE if then is CudaTrainer else choose("cpu")
    resumed = then(Avatar.restored(state, backend), begun.dataset, begun.split, begun.schedule, 40.0)
    resumed.restore(state)
    assert resumed.steps == 2
    assert np.abs(np.concatenate([before, losses_of(resumed, 2)]) / straight - 1).max() < 1e-4
