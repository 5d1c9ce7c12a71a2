"""The rasteriser: milliseconds at 14,000 Gaussians, and its error against the dense float64 reference.

    python -m bench.rasteriser [--gaussians 14000] [--runs 21]

Floors: forward and backward 15 ms at 256 px, 30 ms at 512 px, on 2 cores. The scene is a head-sized shell of surface
Gaussians of 1 to 2 px (at that resolution) in standard deviation, which is what an avatar looks like to a rasteriser.
"""

import argparse
import statistics
import time

import torch

from avatarmake.avatar.rasteriser import Camera
from stages.train import reference
from stages.train.rasteriser import rasterise


def scene(count: int, size: int, seed: int = 0, pixels: tuple[float, float] = (1.0, 2.0)) -> tuple[list, Camera]:
    """`count` flat Gaussians on an ellipsoid that fills most of a `size` px image, `pixels` wide (std, from .. to)."""
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    means = normal * torch.tensor([0.085, 0.12, 0.1])
    fx, distance = 2.5 * size, 0.8
    pixel = distance / fx
    scales = (pixels[0] + (pixels[1] - pixels[0]) * torch.rand(count, 3, generator=g)) * pixel
    scales[:, 2] *= 0.3
    tangent = torch.nn.functional.normalize(torch.linalg.cross(normal, torch.randn(count, 3, generator=g)), dim=1)
    axes = torch.stack([tangent, torch.linalg.cross(normal, tangent), normal], 2) * scales[:, None]
    opacities = 0.3 + 0.69 * torch.rand(count, generator=g)
    colours = torch.rand(count, 3, generator=g)
    rotation, translation = torch.diag(torch.tensor([1.0, -1.0, -1.0])), torch.tensor([0.0, 0.0, distance])
    return [means, axes, opacities, colours, rotation, translation], Camera(fx, fx, size / 2, size / 2, size, size)


def measure(count: int, size: int, runs: int) -> tuple[float, float]:
    """Median milliseconds: forward, and forward with backward."""
    tensors, camera = scene(count, size)
    tensors = [x.requires_grad_() for x in tensors]
    gradient = torch.randn(4, size, size, generator=torch.Generator().manual_seed(1))
    forward, both = [], []
    for _ in range(runs + 2):
        start = time.perf_counter()
        image = rasterise(*tensors, camera)
        forward.append(time.perf_counter() - start)
        image.backward(gradient)
        both.append(time.perf_counter() - start)
    return statistics.median(forward[2:]) * 1e3, statistics.median(both[2:]) * 1e3


def errors(count: int = 400, size: int = 48) -> dict[str, float]:
    """Largest difference from the float64 reference, relative to the largest value: the image and every gradient."""
    tensors, camera = scene(count, size, seed=1, pixels=(0.5, 4.0))  # no pixel within rounding of a cut-off
    fast = [x.clone().requires_grad_() for x in tensors]
    exact = [x.double().requires_grad_() for x in tensors]
    gradient = torch.randn(4, size, size, generator=torch.Generator().manual_seed(1))
    a, b = rasterise(*fast, camera), reference.rasterise(*exact, camera)
    a.backward(gradient)
    b.backward(gradient.double())
    pairs = {"image": (a, b)}
    names = ("means", "axes", "opacities", "colours", "rotation", "translation")
    pairs |= {f"d {name}": (x.grad, y.grad) for name, x, y in zip(names, fast, exact, strict=True)}
    return {name: ((x - y).abs().max() / y.abs().max()).item() for name, (x, y) in pairs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=14000)
    parser.add_argument("--runs", type=int, default=21)
    args = parser.parse_args()
    for size in (256, 512):
        forward, both = measure(args.gaussians, size, args.runs)
        print(f"{args.gaussians} Gaussians, {size} px: forward {forward:.1f} ms, forward + backward {both:.1f} ms")
    for name, error in errors().items():
        print(f"against the float64 reference, {name}: {error:.1e}")


if __name__ == "__main__":
    main()
