"""The rasteriser again, dense and in plain torch: every Gaussian at every pixel. What the fast one is checked against.

Same formulas and the same cut-offs as rasteriser.py, gradients by autograd; give it float64. Memory is N x H x W.
"""

import torch

from avatarmake.avatar.blending import ALPHA_MAX, T_MIN
from avatarmake.avatar.projection import ALPHA_MIN, LOW_PASS, NEAR
from avatarmake.avatar.rasteriser import Camera


def rasterise(
    means: torch.Tensor,
    axes: torch.Tensor,
    opacities: torch.Tensor,
    colours: torch.Tensor,
    rotation: torch.Tensor,
    translation: torch.Tensor,
    camera: Camera,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """As rasteriser.rasterise, in the precision of `means`."""
    points = means @ rotation.T + translation
    seen = (points[:, 2] >= NEAR) & (opacities >= ALPHA_MIN)
    order = torch.argsort(points[seen][:, 2].detach(), stable=True)
    points, axes = points[seen][order], axes[seen][order]
    opacities, colours = opacities[seen][order], colours[seen][order]
    x, y, z = points.unbind(1)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([camera.fx / z, zero, -camera.fx * x / z**2, zero, camera.fy / z, -camera.fy * y / z**2], 1)
    g = jacobian.view(-1, 2, 3) @ rotation @ axes
    conic = torch.linalg.inv(g @ g.transpose(1, 2) + LOW_PASS * torch.eye(2, dtype=means.dtype))
    centre = torch.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], 1)

    v, u = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    d = torch.stack([u, v], -1).to(means.dtype) + 0.5 - centre[:, None, None]  # (N,H,W,2)
    power = -0.5 * torch.einsum("nhwi,nij,nhwj->nhw", d, conic, d)
    alpha = (opacities[:, None, None] * power.exp()).clamp(max=ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:1]), 1 - alpha]), 0)
    alpha = torch.where(through[:-1] > T_MIN, alpha, 0.0)
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[:1]), 1 - alpha]), 0)
    weights = through[:-1] * alpha
    rgb = torch.einsum("nhw,nc->chw", weights, colours)
    rgb = rgb + through[-1] * torch.tensor(background, dtype=means.dtype)[:, None, None]
    return torch.cat([rgb, 1 - through[-1:]])
