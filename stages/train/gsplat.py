"""The rasteriser's interface on CUDA, by gsplat (Apache-2.0): RASTERISER=gsplat, and what bench/cuda.py compares with.

Not run yet: no GPU was at hand when it was written. gsplat has the same 0.3 px^2 low pass and the same blending, but
for two numbers: its alpha is clamped at CLAMP where ours is at blending.ALPHA_MAX, and it stops before a pixel's T
would reach blending.T_MIN, where we stop after. With both set alike they agree to 6e-6; in a trained avatar they are
not seen.
"""

import gsplat
import torch

from avatarmake.avatar.projection import LOW_PASS, NEAR
from avatarmake.avatar.rasteriser import Camera

CLAMP = 0.999  # gsplat's own, compiled into it


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
    """As rasteriser.rasterise, for tensors on the GPU."""
    top = torch.cat([rotation, translation[:, None]], 1)
    view = torch.cat([top, top.new_tensor([[0.0, 0.0, 0.0, 1.0]])])
    k = top.new_tensor([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    image, alpha, _ = gsplat.rasterization(
        means,
        None,
        None,
        opacities,
        colours,
        view[None],
        k[None],
        camera.width,
        camera.height,
        near_plane=NEAR,
        eps2d=LOW_PASS,
        packed=False,
        backgrounds=top.new_tensor(background)[None],
        covars=axes @ axes.transpose(1, 2),
    )
    return torch.cat([image[0], alpha[0]], 2).permute(2, 0, 1)
