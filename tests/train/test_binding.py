"""Binding and loss: the numba kernels against the same formulas in plain torch and float64."""

import numpy as np
import pytest
import torch

from avatarmake import head_model
from avatarmake.avatar.binding import COLUMNS
from avatarmake.avatar.surface import Surface, sample
from stages.train.binding import bind, bind_torch
from stages.train.dataset import Picture
from stages.train.losses import MOUTH, huber, huber_torch
from tests.rounding import rounding

pytestmark = pytest.mark.numbers


@pytest.fixture(scope="module")
def bound() -> tuple[np.ndarray, Surface]:
    model = head_model.load("open")
    mesh = model.vertices(np.zeros(300, np.float32), jaw_pose=np.array([[0.2, 0, 0]], np.float32))
    rotation, translation = np.diag([1.0, -1, -1])[None], np.array([[0, 0, 1.0]])
    return mesh[0], sample(model, mesh, rotation, translation, 500)


def test_every_gradient_of_the_binding(bound):
    vertices, surface = bound
    g = torch.Generator().manual_seed(1)
    learned = torch.randn(500, COLUMNS, generator=g) * 0.3
    learned[:5, 7:10] = 9.0  # beyond the bound of the scale
    weights = [torch.randn(500, *s, generator=g) for s in ((3,), (3, 3), (), (3,))]
    fast, exact = learned.clone().requires_grad_(), learned.double().requires_grad_()
    a, b = bind(fast, vertices, surface), bind_torch(exact, vertices, surface)
    for x, y in zip(a, b, strict=True):
        assert (x - y).abs().max() < rounding(100) * y.abs().max()  # as many operations, at most, one on the other
    sum((x * w).sum() for x, w in zip(a, weights, strict=True)).backward()
    sum((y * w).sum() for y, w in zip(b, weights, strict=True)).backward()
    difference = (fast.grad - exact.grad).abs().amax(0)
    assert (difference <= 1e-4 * exact.grad.abs().amax(0)).all()  # ten times as many, and their terms cancel
    assert not fast.grad[:5, 7:10].any()


def test_what_has_learned_nothing_lies_on_the_surface(bound):
    vertices, surface = bound
    means, axes, _, colours = bind(torch.zeros(500, COLUMNS), vertices, surface)
    points = (vertices[surface.corners] * surface.weights[..., None]).sum(1)
    assert np.abs(means.numpy() - points).max() < 0.2 * rounding(10)  # metres from the origin; three corners
    assert torch.equal(colours, torch.full((500, 3), 0.5))
    edges = vertices[surface.corners[:, 1]] - vertices[surface.corners[:, 0]]
    across = axes[:, :, 2] / axes[:, :, 2].norm(dim=1, keepdim=True)
    # thin along the normal, which a slim triangle leaves uncertain by ten times what an edge of 0.02 m would
    assert np.abs((edges * across.numpy()).sum(1)).max() < 10 * 0.02 * rounding(30)


def test_the_mouth_counts_as_often_as_it_is_told_and_alpha_too():
    g = torch.Generator().manual_seed(0)
    image = torch.rand(4, 20, 30, generator=g)
    pixels = (torch.rand(3, 20, 30, generator=g) * 255).byte().numpy()
    cover = (torch.rand(20, 30, generator=g) * 255).byte().numpy()
    labels = np.zeros((20, 30), np.uint8)
    labels[5:9, 10:20] = MOUTH
    picture = Picture(pixels, cover, labels)
    fast, exact = image.clone().requires_grad_(), image.double().requires_grad_()
    loss, mse = huber(fast, picture, 40.0)
    truth, truth_mse = huber_torch(exact, picture, 40.0)
    assert loss.item() == pytest.approx(truth.item(), rel=rounding(4 * 20 * 30))
    assert mse.item() == pytest.approx(truth_mse.item(), rel=rounding(3 * 20 * 30))
    (3 * loss).backward()
    (3 * truth).backward()
    assert fast.grad[3].any()
    assert (fast.grad - exact.grad).abs().max() < rounding(10) * exact.grad.abs().max()
    image[3] = torch.from_numpy(cover) / 255  # alpha is right
    plain = huber(image, picture, 0.0)[0].item()
    doubled = huber(image, picture, 1.0)[0].item()
    only = huber(image, Picture(pixels, cover, np.full((20, 30), MOUTH, np.uint8)), 1.0)[0].item()
    assert only == pytest.approx(2 * plain, rel=rounding(3 * 20 * 30)) and plain < doubled < only
