"""The rasteriser against the dense float64 reference, and against itself with another number of threads."""

import numba
import pytest
import torch

from avatarmake.avatar.rasteriser import Camera
from bench.rasteriser import scene
from stages.train import reference
from stages.train.rasteriser import rasterise
from tests.rounding import rounding

pytestmark = pytest.mark.numbers
NAMES = ("means", "axes", "opacities", "colours", "rotation", "translation")
# A Gaussian's centre is at up to 50 px, and by each px that it is off a pixel's alpha changes by up to 0.6 / 0.74: the
# narrowest is sqrt(0.3 + 0.5^2) px wide. No pixel of these scenes is within that of a cut-off.
IMAGE = rounding(1) * 50 * 0.8
# Of the largest gradient: the same error, over a width once more, in sums over up to a thousand pixels.
GRADIENT = 1e-4
assert IMAGE / 0.74 < GRADIENT > rounding(1000)


def gradients(tensors: list, camera: Camera, rasterise_, weights: torch.Tensor) -> tuple[torch.Tensor, list]:
    leaves = [x.clone().to(weights.dtype).requires_grad_() for x in tensors]
    image = rasterise_(*leaves, camera)
    image.backward(weights)
    return image.detach(), [x.grad for x in leaves]


def compare(tensors: list, camera: Camera) -> None:
    weights = torch.randn(4, camera.height, camera.width, generator=torch.Generator().manual_seed(7))
    image, fast = gradients(tensors, camera, rasterise, weights)
    truth, exact = gradients(tensors, camera, reference.rasterise, weights.double())
    assert (image - truth).abs().max() < IMAGE
    for name, a, b in zip(NAMES, fast, exact, strict=True):
        assert (a - b).abs().max() <= GRADIENT * b.abs().max() + 1e-12, name


@pytest.mark.parametrize("size", [(48, 48), (37, 50)])  # whole tiles, and tiles that the border cuts
def test_image_and_every_gradient_agree_with_the_reference(size):
    tensors, camera = scene(400, 48, seed=1, pixels=(0.5, 4.0))
    compare(tensors, camera._replace(width=size[0], height=size[1]))


def test_gaussians_over_the_borders_and_behind_the_camera():
    tensors, camera = scene(300, 40, seed=3, pixels=(1.0, 6.0))
    tensors[0] = tensors[0] * 2.5  # wider than the image
    tensors[0][:20, 2] = 1.5  # behind
    tensors[0][20:40, 2] = 0.795  # nearer than the near plane
    compare(tensors, camera)
    _, found = gradients(tensors, camera, rasterise, torch.ones(4, 40, 40))
    assert not found[0][:40].any() and found[0][40:].any()


def test_opaque_gaussians_where_alpha_is_clamped():
    tensors, camera = scene(300, 40, seed=2, pixels=(2.0, 5.0))
    tensors[2] = torch.where(torch.arange(300) % 2 == 0, 0.9999, tensors[2])
    tensors[2][:30] = 0.003  # below 1/255: not there
    compare(tensors, camera)


def test_an_empty_image_is_the_background():
    tensors, camera = scene(10, 32)
    tensors[0][:, 2] = 5.0
    image = rasterise(*tensors, camera, background=(0.25, 0.5, 1.0))
    assert torch.equal(image[:, 3, 4], torch.tensor([0.25, 0.5, 1.0, 0.0]))


def test_the_number_of_threads_changes_no_bit():
    tensors, camera = scene(3000, 96)
    weights = torch.randn(4, 96, 96, generator=torch.Generator().manual_seed(7))
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = gradients(tensors, camera, rasterise, weights)
        numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
        two = gradients(tensors, camera, rasterise, weights)
    finally:
        numba.set_num_threads(before)
    assert torch.equal(one[0], two[0])
    assert all(torch.equal(a, b) for a, b in zip(one[1], two[1], strict=True))
