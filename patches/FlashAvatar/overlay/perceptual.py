"""LPIPS with VGG-16 (Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018), of the assets' files, read when first used.

FlashAvatar takes it from step 15,001 on; what is trained for less needs neither file.
"""

import torch
from torch import nn
from torch.nn.functional import conv2d, max_pool2d, relu

from avatarmake import assets
from avatarmake.errors import Exit, StageError

ASSETS = ("vgg16", "lpips_vgg")
BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # VGG-16's convolutions, by torchvision's numbers
# Of ImageNet's pictures, for pictures from -1 to 1
MEAN, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    def __init__(self, net: str = "vgg"):
        super().__init__()
        self.register_buffer("anchor", torch.empty(0), persistent=False)  # it says on which device
        self._blocks: list = []
        self._weights: list = []

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Pictures (3,H,W) or (N,3,H,W) from -1 to 1 -> (N,1,1,1)."""
        if not self._blocks:
            self._blocks, self._weights = networks(self.anchor.device)
        seen = zip(self._features(a), self._features(b), self._weights, strict=True)
        parts = [((x - y).square() * weight).sum(1, keepdim=True).mean((2, 3), keepdim=True) for x, y, weight in seen]
        return torch.stack(parts).sum(0)

    def _features(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """What each block of the network sees, every pixel's channels of length 1."""
        x = picture if picture.dim() == 4 else picture[None]
        mean, deviation = (x.new_tensor(v)[:, None, None] for v in (MEAN, DEVIATION))
        x, found = (x - mean) / deviation, []
        for number, block in enumerate(self._blocks):
            x = max_pool2d(x, 2) if number else x
            for weight, bias in block:
                x = relu(conv2d(x, weight, bias, padding=1))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found


def networks(device: torch.device) -> tuple[list, list]:
    """-> the blocks' weights and biases, and how much each channel counts (1,C,1,1). Raises StageError."""
    vgg, linear = (read(name) for name in ASSETS)
    blocks = [[tuple(part(vgg, f"features.{k}.{what}", device, ASSETS[0]) for what in ("weight", "bias"))
               for k in block] for block in BLOCKS]  # fmt: skip
    weights = [part(linear, f"lin{k}.model.1.weight", device, ASSETS[1]) for k in range(len(BLOCKS))]
    return blocks, weights


def read(name: str) -> dict:
    path = assets.need(name)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as e:  # a torn file fails in many ways
        raise wrong(path, f"cannot be read as weights: {str(e).splitlines()[0][:160]}") from e


def part(state: dict, name: str, device: torch.device, asset: str) -> torch.Tensor:
    if name not in state:
        raise wrong(assets.need(asset), f"has no {name}: it is another network's")
    return state[name].to(device, torch.float32)


def wrong(path, what: str) -> StageError:
    return StageError(what, path, "Remove it and type: make assets", Exit.MISSING_ASSET)
