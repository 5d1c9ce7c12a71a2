"""CUDA, on a host that has it: a step of training, drawing, gsplat beside it, and how far two equal runs lie apart.

    python -m bench.cuda [--gaussians 14000] [--steps 1000] [--data FOLDER --id NAME]

Needs an environment with PyTorch's build for CUDA and numba-cuda (train's). On a subject drawn by the rasteriser
itself, unless one is named. Times are from a wait for the device to the next, over so many steps.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from avatarmake.errors import StageError
from bench.rasteriser import scene
from stages.train import rasteriser
from stages.train.avatar import fresh
from stages.train.backend import Backend, choose
from stages.train.dataset import Dataset
from stages.train.split import split
from stages.train.trainer import Schedule
from tests.train import subject

NAMES = ("image", "means", "axes", "opacities", "colours", "rotation", "translation")


def milliseconds(work, count: int) -> float:
    """Mean of `count` calls, after ten that are not counted."""
    for _ in range(10):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / count * 1e3


def gradients(rasterise, count: int, size: int, device: str) -> list[torch.Tensor]:
    tensors, camera = scene(count, size)
    leaves = [x.to(device).requires_grad_() for x in tensors]
    image = rasterise(*leaves, camera)
    image.backward(torch.randn(4, size, size, generator=torch.Generator().manual_seed(1)).to(device))
    return [image.detach().cpu(), *(x.grad.cpu() for x in leaves)]


def apart(a: list[torch.Tensor], b: list[torch.Tensor]) -> str:
    """Largest differences, of the largest value."""
    pairs = zip(NAMES, a, b, strict=True)
    return ", ".join(f"{name} {((x - y).abs().max() / y.abs().max()).item():.1e}" for name, x, y in pairs)


def drawing(own: Backend, count: int, size: int) -> None:
    """Forward, and forward with backward, of each rasteriser; each against the CPU's."""
    true = gradients(rasteriser.rasterise, count, size, "cpu")
    others = {"own": own.rasterise}
    try:
        others["gsplat"] = choose("cuda", "gsplat").rasterise
    except StageError as e:
        print(f"gsplat: {e}")
    for name, rasterise in others.items():
        tensors, camera = scene(count, size)
        tensors = [x.cuda().requires_grad_() for x in tensors]
        weights = torch.randn(4, size, size, device="cuda")
        forward = milliseconds(lambda r=rasterise, t=tensors, c=camera: r(*t, c), 100)
        both = milliseconds(lambda r=rasterise, t=tensors, c=camera, w=weights: r(*t, c).backward(w), 100)
        print(f"{name}, {count} Gaussians, {size} px: forward {forward:.2f} ms, with backward {both:.2f} ms (unfused)")
        print(f"{name} against the CPU's: {apart(gradients(rasterise, count, size, 'cuda'), true)}")


def new(dataset: Dataset, own: Backend, gaussians: int, resolution: int, steps: int):
    from stages.train.cuda.trainer import CudaTrainer

    parts = split(len(dataset))
    avatar = fresh(dataset, parts.train, gaussians, 0, own)
    return CudaTrainer(avatar, dataset, parts, Schedule(steps, resolution, 0.0, 0), 40.0)


def training(dataset: Dataset, own: Backend, gaussians: int, resolution: int, steps: int) -> None:
    """A step with a CUDA graph and without; pictures a second; two runs of one seed."""
    runs = []
    for _ in range(2):
        trainer, began = new(dataset, own, gaussians, resolution, 4 * steps), time.perf_counter()
        trainer.step()
        trainer.means()
        first = time.perf_counter() - began
        with_graph = milliseconds(trainer.step, steps)
        runs.append([p.detach().cpu() for p in trainer.avatar.network.parameters()])
    graph = "with" if trainer._step.graph is not None else "WITHOUT"
    print(f"{resolution} px: first step after {first:.1f} s, then {with_graph:.3f} ms a step, {graph} a CUDA graph")
    difference = max((a - b).abs().max().item() for a, b in zip(*runs, strict=True))
    print(f"    two runs of {steps} steps: {difference:.1e} apart")
    trainer._step.graph, trainer._step.refused = None, True
    print(f"    launch by launch: {milliseconds(trainer.step, min(steps, 200)):.3f} ms a step")
    step = trainer._step
    mesh, learned = step.frames.meshes[0], step.avatar.network(step.raw[0]).detach()
    camera, frame = trainer._cameras, step.which[0, :1].clone()

    def draw() -> None:
        step.rasteriser.forward(*step.binder.forward(learned, mesh), *camera.of(frame), step.white)

    milliseconds(draw, 3)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        draw()
    print(f"    drawn: {1e3 / milliseconds(graph.replay, 1000):.0f} pictures a second, bound and rasterised")
    print(f"    memory: {torch.cuda.max_memory_allocated() / 1e6:.0f} MB at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=14000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--id", default="demo")
    args = parser.parse_args()
    try:
        own = choose("cuda")
    except StageError as e:
        print(f"no GPU: {e}")
        return
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    for size in (256, 512):
        drawing(own, args.gaussians, size)
    with tempfile.TemporaryDirectory() as folder:
        if args.data:
            dataset = Dataset(args.data / args.id / "dataset", args.data / args.id / "masks", args.id)
        else:
            dataset = Dataset(*subject.write(Path(folder), 12, size=512, gaussians=20000))
        for resolution in (256, 512):
            training(dataset, own, args.gaussians, resolution, args.steps)


if __name__ == "__main__":
    main()
