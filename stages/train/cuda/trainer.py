"""The trainer whose steps are launched on CUDA, and not waited for: see trainer.py for what they do."""

from dataclasses import dataclass, field

import numpy as np
import torch

from stages.train.cuda import adam
from stages.train.cuda.cameras import Cameras
from stages.train.cuda.frames import Frames
from stages.train.cuda.rasteriser import Binder
from stages.train.cuda.step import Step
from stages.train.trainer import Trainer

SPAN = 250  # steps that are planned at once


@dataclass
class CudaTrainer(Trainer):
    """Takes the steps of Trainer: the same frames, noise and rates; sums in another order.

    It waits for the device at the end of each span and where somebody asks for a result. Should a step of the span have
    had more to draw than there was room for, the span is taken again with more.
    """

    _step: Step | None = field(default=None, init=False)
    _frames: Frames | None = field(default=None, init=False)
    _planned: int = field(default=0, init=False)  # the step at which the span ends
    _settled: int = field(default=0, init=False)  # the step up to which all is known to be right
    _read: int = field(default=0, init=False)  # the step up to which `means` has told

    def __post_init__(self):
        super().__post_init__()
        device = self.avatar.backend.device
        self._cameras = Cameras(self.poses, self.dataset.rotation, self.dataset.translation, device)
        self._binder = Binder(self.avatar.surface, device)

    def step(self) -> None:
        """Launch a step; what it gave is in `means`."""
        if self.steps >= self._planned:
            self._plan()
        self._step.take()
        self.steps += 1
        self.optimiser.steps += 1

    def means(self) -> tuple[float, float]:
        self._settle()
        loss, mse = (self._step.sums / (self.schedule.views * (self.steps - self._read))).tolist()
        self._step.sums.zero_()
        self._read = self.steps
        self._keep()
        return loss, mse

    def camera_of(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        self._settle()
        return super().camera_of(i)

    def picture_of(self, *which, **how) -> np.ndarray:
        self._settle()
        return super().picture_of(*which, **how)

    def state(self) -> dict:
        self._settle()
        return super().state()

    def restore(self, state: dict) -> None:
        super().restore(state)
        self._cameras.push()
        self._planned = self._settled = self._read = self.steps

    def _plan(self) -> None:
        """The next span: its frames brought to the device, its table filled in, its successor's pictures begun."""
        first = self.steps
        resolution = self.schedule.resolution_at(first)
        last = self._end(first)
        if self._frames is None or self._frames.resolution != resolution:
            self._settle()
            self._begin(resolution)
        views = [view for step in range(first, last) for view in self.views_of(step)]
        slots = self._frames.slots([i for i, _ in views])  # while the device is still at the last span
        self._settle()
        self._frames.wait()
        which = [(i, slot) for (i, _), slot in zip(views, slots, strict=True)]
        raw = torch.from_numpy(np.stack([code for _, code in views]).astype(np.float32))
        now = [adam.now(step, self.schedule.rate(step)) for step in range(first, last)]
        self._step.fill(which, raw, [n for n in now for _ in range(self.schedule.views)])
        self._planned = last
        self._keep()
        if last < self.schedule.iterations and self.schedule.resolution_at(last) == resolution:
            self._frames.ahead(i for step in range(last, self._end(last)) for i, _ in self.views_of(step))

    def _end(self, first: int) -> int:
        """A span ends where the resolution changes, too."""
        end, at = min(first + SPAN, self.schedule.iterations), self.schedule.resolution_at
        return next((step for step in range(first, end) if at(step) != at(first)), end)

    def _begin(self, resolution: int) -> None:
        """A resolution: its pictures and its rasteriser; those of the last one are given back first."""
        sums = None if self._step is None else self._step.sums
        if self._frames is not None:
            self._frames.close()
        self._step = self._frames = None
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # what PyTorch keeps for itself does not count as free
        device, rows = self.avatar.backend.device, SPAN * self.schedule.views
        self._frames = Frames(self.dataset, resolution, device, min(rows, len(self.dataset)))
        self._make_step()
        if sums is not None:
            self._step.sums.copy_(sums)

    def _make_step(self, room: int = 0) -> None:
        camera, views = self.dataset.camera(self._frames.resolution), self.schedule.views
        parts = (self.avatar, self.optimiser, self._cameras, self._frames, self._binder, camera)
        self._step = Step(*parts, self.mouth_weight, views, SPAN * views, room)

    def _keep(self) -> None:
        """Remember where the device is now: what a span is taken again from."""
        self._kept, self._settled = [x.clone() for x in self._step.changing], self.steps

    def _settle(self) -> None:
        """Wait for the device, and take again what it had no room for."""
        if self.steps == self._settled:
            return
        while (pairs := int(self._step.most)) > self._step.rasteriser.room:
            old = self._step
            self._make_step(2 * pairs)
            for name in ("which", "raw", "now"):
                getattr(self._step, name).copy_(getattr(old, name))
            for tensor, was in zip(self._step.changing, self._kept, strict=True):
                tensor.copy_(was)
            for _ in range(self._settled, self.steps):
                self._step.take()
        self._cameras.pull()
        self._keep()
