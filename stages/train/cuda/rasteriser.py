"""The rasteriser on CUDA (avatarmake/avatar/cuda), and binding, between PyTorch's tensors."""

import math
from functools import lru_cache

import numpy as np
import torch

from avatarmake.avatar.binding import COLUMNS, LOG_SCALE, START_OPACITY, START_SCALE, STEP
from avatarmake.avatar.cuda import binding, blending, projection, tiles
from avatarmake.avatar.cuda.tiles import MOST, TALL, TILE
from avatarmake.avatar.projection import SPLAT, SUMS, f4
from avatarmake.avatar.rasteriser import Camera
from avatarmake.avatar.surface import Surface
from avatarmake.errors import Exit, StageError

PAIRS, LEAST = 8, 1024  # room at first: so many tiles a Gaussian, and so many more


class Rasteriser:
    """Draws N Gaussians into images of one camera's size, with room for `room` pairs of a Gaussian and a tile.

    `drawn` is the last image (4,H,W), and `backward` is of that. Nothing waits for the device, so it does not say
    either when there were more pairs than room: `pairs` (1,) on the device does.
    """

    def __init__(self, gaussians: int, camera: Camera, device: torch.device, room: int = 0):
        self.camera, self.device, self.room = camera, device, room or PAIRS * gaussians + LEAST
        self.columns, self.rows = math.ceil(camera.width / TILE), math.ceil(camera.height / TALL)
        if self.columns * self.rows > MOST:
            what = f"an image of {camera.width} x {camera.height} is larger than this rasteriser draws"
            raise StageError(what, exit=Exit.USAGE)
        whole, n = dict(device=device, dtype=torch.int32), gaussians
        self.splats, self.boxes = torch.zeros(n, SPLAT, device=device), torch.zeros(n, 4, **whole)
        self.depths, self.counts, self.starts = (torch.zeros(n, **whole) for _ in range(3))
        self.tiles = torch.zeros(self.room, device=device, dtype=torch.int16)
        self.owners, self.moments = torch.zeros(self.room, **whole), torch.zeros(self.room, SUMS, device=device)
        self.edges = torch.arange(self.columns * self.rows + 1, device=device, dtype=torch.int16)
        self.drawn = torch.zeros(4, camera.height, camera.width, device=device)
        self.inputs: tuple = ()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """means (N,3), axes (N,3,3), opacities (N,), colours (N,3), rotation (3,3), translation (3,), background (3,)
        -> image (4,H,W), which the next call overwrites."""
        *inputs, background = inputs
        self.inputs, count = tuple(inputs), len(self.depths)
        intrinsics, size = map(f4, self.camera[:4]), (self.camera.width, self.camera.height)
        projection.project.each(count, *inputs, *intrinsics, *size, self.splats, self.boxes, self.depths)
        nearest = torch.sort(self.depths, stable=True).indices
        tiles.count.each(count, nearest, self.boxes, self.counts)
        ends = torch.cumsum(self.counts, 0, dtype=torch.int32)
        self.pairs = ends[-1:]
        self.tiles.fill_(self.columns * self.rows)  # what no pair fills comes last
        made = (self.tiles, self.owners, self.starts)
        tiles.emit.each(count, nearest, self.boxes, self.counts, ends, self.columns, *made)
        by_tile = torch.sort(self.tiles, stable=True)
        self.order = by_tile.indices
        self.offsets = torch.searchsorted(by_tile.values, self.edges, out_int32=True)
        lists = (self.splats, self.offsets, self.owners, self.order, self.columns)
        blending.blend((self.columns, self.rows), (TILE, TALL), *lists, background, self.drawn)
        return self.drawn

    def backward(self, d_image: torch.Tensor) -> list[torch.Tensor]:
        """Gradient of the last image -> of the six arrays that it was made of."""
        means, axes, opacities, colours, r, t = self.inputs
        lists = (self.splats, self.offsets, self.owners, self.order, self.columns)
        blending.blend_backward((self.columns, self.rows), (TILE, TALL), d_image, self.drawn, *lists, self.moments)
        out = [torch.empty_like(x) for x in (means, axes, opacities, colours)]
        camera = means.new_empty(len(means), 12)
        fx, fy = map(f4, self.camera[:2])
        lists = (self.moments, self.starts, self.splats, self.boxes, TALL, TILE)
        projection.project_backward.each(len(means), *lists, means, axes, r, t, fx, fy, *out, camera)
        camera = camera.sum(0)
        return [*out, camera[:9].view(3, 3), camera[9:]]


class Binder:
    """Binding to a surface whose arrays are on the device."""

    def __init__(self, surface: Surface, device: torch.device):
        self.surface = [torch.from_numpy(x).to(device) for x in surface]
        self.steps, self.scale, self.opacity, self.bounds = constants(device)

    def forward(self, learned: torch.Tensor, vertices: torch.Tensor) -> list[torch.Tensor]:
        """learned (N,COLUMNS), vertices (V,3) -> means (N,3), axes (N,3,3), opacities (N,), colours (N,3)."""
        n = len(learned)
        out = [learned.new_empty(n, *shape) for shape in ((3,), (3, 3), (), (3,))]
        scale = (self.steps, self.scale, self.opacity, *self.bounds)
        binding.bind.each(n, learned, vertices, *self.surface, *scale, *out)
        return out

    def backward(self, gradients: list[torch.Tensor], learned, opacities, vertices) -> torch.Tensor:
        """Gradients of the four -> (N,COLUMNS)."""
        d_x, scale = learned.new_empty(len(learned), COLUMNS), (self.steps, self.scale, *self.bounds)
        given = (learned, opacities, vertices, *self.surface)
        binding.bind_backward.each(len(learned), *gradients, *given, *scale, d_x)
        return d_x


@lru_cache
def constants(device: torch.device) -> tuple:
    """binding.py's: STEP and START_SCALE on the device, START_OPACITY and LOG_SCALE as numbers."""
    arrays = (torch.from_numpy(np.ascontiguousarray(x)).to(device) for x in (STEP, START_SCALE))
    return *arrays, f4(START_OPACITY), tuple(map(f4, LOG_SCALE))
