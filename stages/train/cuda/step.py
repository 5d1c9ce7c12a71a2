"""One step of training as a fixed sequence of launches, none of which waits: what a CUDA graph replays.

Everything a step needs that changes from one to the next lies in a table on the device, a row a frame; a cursor there
goes down it. Every array is as large as it ever gets. What the rasteriser has no room for is counted (`most`), and
looked at where the device is waited for anyway.
"""

import torch

from avatarmake.avatar.rasteriser import Camera
from stages.train.adam import Adam
from stages.train.avatar import WHITE, Avatar
from stages.train.cuda import adam
from stages.train.cuda.cameras import Cameras
from stages.train.cuda.frames import Frames
from stages.train.cuda.losses import huber
from stages.train.cuda.rasteriser import Binder, Rasteriser

EAGER = 3  # steps that are taken before one is captured: kernels are compiled in them


class Step:
    """Forward, backward and Adam at one camera's resolution, `views` frames at once, for `rows` of them."""

    def __init__(
        self, avatar: Avatar, optimiser: Adam, cameras: Cameras, frames: Frames, binder: Binder, camera: Camera,
        mouth_weight: float, views: int, rows: int, room: int = 0,
    ):  # fmt: skip
        self.avatar, self.optimiser, self.cameras, self.frames, self.binder = avatar, optimiser, cameras, frames, binder
        self.mouth_weight, self.views = mouth_weight, views
        device = avatar.backend.device
        self.rasteriser = Rasteriser(len(avatar.surface.spacing), camera, device, room)
        self.white = torch.tensor(WHITE, device=device)
        self.which = torch.zeros(rows, 2, dtype=torch.int64, device=device)  # frame, slot
        self.raw = torch.zeros(rows, avatar.network.code.mean.numel(), device=device)
        self.now = torch.zeros(rows, 3, device=device)  # adam.now
        self.cursor = torch.zeros(1, dtype=torch.int64, device=device)
        self.sums = torch.zeros(2, device=device)  # of loss and mean squared error, over views
        self.most = torch.zeros(1, dtype=torch.int32, device=device)
        self.graph, self.taken, self.refused = None, 0, device.type != "cuda"

    def fill(self, which: list[tuple[int, int]], raw: torch.Tensor, now: list[tuple]) -> None:
        """The rows to come, from the first on: a row a view; `now` alike for the views of a step."""
        count = len(which)
        self.which[:count] = torch.tensor(which, dtype=torch.int64)
        self.raw[:count], self.now[:count] = raw, torch.tensor(now)
        self.cursor.zero_()

    @property
    def changing(self) -> list[torch.Tensor]:
        """Every number that a step starts from, but for the table."""
        parameters = [p.detach() for p, *_ in self.optimiser.rates]
        moments = [*self.optimiser.first, *self.optimiser.second]
        return [*parameters, *moments, *self.cameras.tensors, self.cursor, self.sums]

    def take(self) -> None:
        """Launch one step."""
        if self.graph is None and not self.refused and self.taken >= EAGER:
            self._capture()
        if self.graph is not None:
            self.graph.replay()
        else:
            self._run()
        self.taken += 1

    def _capture(self) -> None:
        """A graph of `_run`; where the device will not have one, launches go on one by one, and that is said once."""
        torch.cuda.synchronize()
        try:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._run()
            self.graph = graph
        except Exception as e:  # PyTorch's errors, numba's, or cuda.core's
            self.refused = True
            print(f"train: without a CUDA graph, which is slower: {(str(e) or repr(e)).splitlines()[0]}", flush=True)

    def _run(self) -> None:
        totals = None
        for _ in range(self.views):
            gradients = self._view()
            totals = gradients if totals is None else [a + b for a, b in zip(totals, gradients, strict=True)]
        adam.launch(self.optimiser, totals, self._now)

    def _view(self) -> list[torch.Tensor]:
        """One frame -> the gradients by the network's parameters; its camera takes its own step."""
        row = [x.index_select(0, self.cursor)[0] for x in (self.which, self.raw, self.now)]
        (frame, slot), raw, self._now = row[0].split(1), row[1], row[2]
        rotation, translation = self.cameras.of(frame)
        mesh = self.frames.meshes.index_select(0, slot)[0]
        with torch.enable_grad():
            learned = self.avatar.network(raw)
        x = learned.detach()
        gaussians = self.binder.forward(x, mesh)
        image = self.rasteriser.forward(*gaussians, rotation, translation, self.white)
        figures, d_image = huber(image, self.frames.pictures, slot, self.mouth_weight, 1 / self.views)
        *by_gaussians, d_rotation, d_translation = self.rasteriser.backward(d_image)
        d_x = self.binder.backward(by_gaussians, x, gaussians[2], mesh)
        self.cameras.step(frame, d_rotation, d_translation, self._now)
        self.cursor.add_(1)
        self.sums.add_(figures)
        torch.maximum(self.most, self.rasteriser.pairs, out=self.most)
        return list(torch.autograd.grad(learned, [p for p, *_ in self.optimiser.rates], d_x))
