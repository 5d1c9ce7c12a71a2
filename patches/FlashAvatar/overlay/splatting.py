"""The rasteriser's interface that FlashAvatar's render() calls, and behind it our own rasteriser.

What differs from Inria's: a pixel is finished after the Gaussian that lets less than 1e-4 through, Inria's before it
(1e-4 of a colour at most); a Gaussian ends where it blends less than 1/255, Inria's at three standard deviations of its
longer axis, rounded up to tiles; no limit on how oblique it is seen. The clamp of alpha (0.99), the 1/255 below which
nothing is blended and the low pass (0.3 px^2) are the same on the CPU.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch.nn.functional import normalize
from utils.sh_utils import eval_sh

from stages.train.backend import choose
from stages.train.rasteriser import Camera


class GaussianRasterizationSettings(NamedTuple):
    """By the names that render() gives."""

    image_height: int
    image_width: int
    tanfovx: float
    tanfovy: float
    bg: torch.Tensor
    scale_modifier: float
    viewmatrix: torch.Tensor  # (4,4) world to camera, transposed
    projmatrix: torch.Tensor  # not read: the two angles say as much
    sh_degree: int
    campos: torch.Tensor
    prefiltered: bool
    debug: bool


class GaussianRasterizer:
    def __init__(self, raster_settings: GaussianRasterizationSettings):
        self.asked = raster_settings

    def __call__(
        self,
        means3D,  # noqa: N803, the names that render() gives
        means2D,  # noqa: N803
        opacities,
        shs=None,
        colors_precomp=None,
        scales=None,
        rotations=None,
        cov3D_precomp=None,  # noqa: N803
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """-> image (3,H,W), and a radius for each Gaussian, all of them 1: nobody prunes by it here."""
        if cov3D_precomp is not None:
            raise ValueError("covariances are not taken: leave compute_cov3D_python off")
        asked, view = self.asked, self.asked.viewmatrix.T
        width, height = asked.image_width, asked.image_height
        focal = width / 2 / asked.tanfovx, height / 2 / asked.tanfovy
        colours = self._seen(means3D, shs) if colors_precomp is None else colors_precomp
        image = _rasterise(means3D.device.type)(
            means3D,
            axes(rotations, asked.scale_modifier * scales),
            opacities[:, 0],
            colours,
            view[:3, :3].contiguous(),
            view[:3, 3].contiguous(),
            Camera(*focal, width / 2, height / 2, width, height),
            tuple(asked.bg.tolist()),
        )
        return image[:3], torch.ones(len(means3D), dtype=torch.int32, device=means3D.device)

    def _seen(self, means: torch.Tensor, harmonics: torch.Tensor) -> torch.Tensor:
        """(N,3) colours from where the camera is, of spherical harmonics (N,16,3)."""
        towards = normalize(means - self.asked.campos, dim=1)
        return (eval_sh(self.asked.sh_degree, harmonics.transpose(1, 2), towards) + 0.5).clamp_min(0)


@cache
def _rasterise(device: str):
    threads = torch.get_num_threads()
    made = choose(device).rasterise
    torch.set_num_threads(threads)  # the backend leaves torch one, which is enough for our own small network
    return made


def axes(quaternions: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """(N,4), w first, of any length; (N,3) -> (N,3,3): the columns are the ellipsoid's axes, as long as it is thick.

    A unit quaternion's rotation is (w^2 - v.v) 1 + 2 v v^T + 2 w [v]x.
    """
    w, x, y, z = normalize(quaternions).unbind(1)
    v = torch.stack([x, y, z], 1)
    zero = torch.zeros_like(w)
    across = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    unit = torch.eye(3, device=v.device, dtype=v.dtype)
    inner = (w.square() - v.square().sum(1))[:, None, None] * unit
    return (inner + 2 * v[:, :, None] * v[:, None] + 2 * w[:, None, None] * across) * scales[:, None]
