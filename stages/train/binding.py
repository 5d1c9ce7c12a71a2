"""Binding (avatarmake/avatar/binding.py) as a differentiable step, and the same in plain torch: for CUDA, and to check
the kernels."""

import numpy as np
import torch

from avatarmake.avatar import binding
from avatarmake.avatar.binding import LOG_SCALE, START_OPACITY, START_SCALE, STEP
from avatarmake.avatar.surface import Surface


class _Bind(torch.autograd.Function):
    @staticmethod
    def forward(ctx, learned, vertices, surface):
        x = learned.detach().contiguous().numpy()
        out = binding.bind(x, vertices, surface)
        ctx.state = (x, out[2], vertices, surface)
        return tuple(map(torch.from_numpy, out))

    @staticmethod
    def backward(ctx, *gradients):
        gradients = [np.ascontiguousarray(g.numpy()) for g in gradients]
        # a copy, because torch aligns memory to 64 bytes, and BLAS rounds by alignment: a resumed run must not differ
        return torch.from_numpy(binding.bind_backward(gradients, *ctx.state)).clone(), None, None


def bind(learned: torch.Tensor, vertices: np.ndarray, surface: Surface) -> tuple[torch.Tensor, ...]:
    """learned (N,COLUMNS), vertices (V,3) float32 of a frame -> means, axes, opacities, colours to rasterise."""
    return _Bind.apply(learned, vertices, surface)


def bind_torch(learned: torch.Tensor, vertices: np.ndarray, surface: Surface) -> tuple[torch.Tensor, ...]:
    """`bind` in plain torch, on the device and in the precision of `learned`."""
    as_ = dict(device=learned.device, dtype=learned.dtype)
    vertices, weights = torch.as_tensor(vertices, **as_), torch.as_tensor(surface.weights, **as_)
    spacing = torch.as_tensor(surface.spacing, **as_)[:, None]
    corners = vertices[torch.as_tensor(surface.corners, device=learned.device).long()]
    edge = torch.nn.functional.normalize(corners[:, 1] - corners[:, 0], dim=1)
    normal = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = torch.nn.functional.normalize(normal, dim=1, eps=1e-24)
    frame = torch.stack([edge, torch.linalg.cross(normal, edge), normal], 2)
    x = learned * torch.as_tensor(STEP, **as_)
    quaternion = x[:, 3:7] + torch.tensor([1.0, 0, 0, 0], **as_)
    w, i, j, k = torch.nn.functional.normalize(quaternion, dim=1).unbind(1)
    rows = [1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j), 2 * (i * j + w * k)]
    rows += [1 - 2 * (i * i + k * k), 2 * (j * k - w * i), 2 * (i * k - w * j), 2 * (j * k + w * i)]
    rotation = torch.stack([*rows, 1 - 2 * (i * i + j * j)], 1).view(-1, 3, 3)
    scale = spacing * (torch.as_tensor(START_SCALE, **as_) + x[:, 7:10]).clamp(*LOG_SCALE).exp()
    means = (corners * weights[:, :, None]).sum(1) + (frame @ (x[:, :3] * spacing)[:, :, None])[:, :, 0]
    return means, frame @ rotation * scale[:, None], torch.sigmoid(START_OPACITY + x[:, 10]), 0.5 + x[:, 11:14]
