"""Training: which frame when, one step, and a state that goes on bit for bit where it stopped.

Every choice of a step follows from the seed and the step's number alone, so that there is no state of a random
generator to keep. Half of the steps are taken at 256 px, where they cost a third.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from stages.train.adam import Adam
from stages.train.avatar import WHITE, Avatar, codes
from stages.train.dataset import Dataset
from stages.train.fitting import Fit
from stages.train.poses import Poses
from stages.train.split import Split

WARMUP_RESOLUTION = 256
BASE_RATE, LATENT_RATE, NETWORK_RATE = 0.02, 0.01, 8e-3
DECAY = 0.15  # of the network's weights: what frames beyond those seen are told is less wild
POSE_RATE, SHARED_POSE_RATE = 0.1, 0.01
FINAL_RATE = 0.05  # of the rates at the start, reached exponentially
GOLDEN = (5**0.5 - 1) / 2
CODE_NOISE = 0.05  # standard deviation, codes having a mean square of 1: the tracker is not exact


@dataclass
class Schedule:
    """What the config says about time."""

    iterations: int
    resolution: int
    warmup: float
    seed: int
    views: int = 1  # frames a step
    _drawn: tuple = field(default=(-1, 0, None), init=False, repr=False, compare=False)

    def resolution_at(self, step: int) -> int:
        early = step < self.warmup * self.iterations
        return min(WARMUP_RESOLUTION, self.resolution) if early else self.resolution

    def rate(self, step: int) -> float:
        return FINAL_RATE ** (step / self.iterations)

    def frame(self, step: int, train: tuple[int, ...], line: np.ndarray | None = None) -> int:
        """Each epoch shows every training frame once, in an order of its own; one of less weight in some epochs only.

        `line`: see `ends`; without it all weigh the same. Systematic sampling: the whole numbers, shifted by a fraction
        of the epoch's own, pick the frames in whose parts of the line they fall; fractions that spread evenly.
        """
        line = ends(np.ones(len(train))) if line is None else line
        epoch, at = divmod(step, round(line[-1]))
        at = np.searchsorted(line, self._order(epoch, round(line[-1]))[at] + (epoch + 0.5) * GOLDEN % 1, side="right")
        return train[min(int(at), len(train) - 1)]

    def _order(self, epoch: int, length: int) -> np.ndarray:
        """Drawn once an epoch: of a long video it takes as long as a small kernel."""
        if self._drawn[:2] != (epoch, length):
            self._drawn = epoch, length, np.random.default_rng([self.seed, epoch]).permutation(length)
        return self._drawn[2]

    def noise(self, step: int, size: int) -> np.ndarray:
        return np.random.default_rng([self.seed, step, 1]).standard_normal(size).astype(np.float32)


def ends(weights: np.ndarray) -> np.ndarray:
    """(F,) weights -> where each frame's part of a line ends, whose length is an epoch's: the sum in whole steps."""
    line = np.cumsum(weights) if weights.any() else np.arange(1.0, len(weights) + 1)
    return line * max(round(line[-1]), 1) / line[-1]


@dataclass
class Trainer:
    avatar: Avatar
    dataset: Dataset
    split: Split
    schedule: Schedule
    mouth_weight: float
    steps: int = 0
    curve: list = field(default_factory=list)
    seconds: list = field(default_factory=list)  # of training, up to each point of the curve
    taken: list = field(default_factory=list)  # loss and mean squared error of each step since `means`
    poses: Poses = field(init=False)
    optimiser: Adam = field(init=False)

    def __post_init__(self):
        self.line = ends(self.dataset.weights[list(self.split.train)])
        self.codes = codes(self.dataset)
        network = self.avatar.network
        with torch.no_grad():
            inputs = [network.code(torch.from_numpy(raw).to(network.base.device)) for raw in self.codes]
        self.poses = Poses(torch.stack(inputs).cpu().numpy(), self.split.train, POSE_RATE, SHARED_POSE_RATE)
        dense = [p for module in (network.hidden, network.layer, network.out) for p in module.parameters()]
        rates = [(network.base, BASE_RATE, 0.0), (network.latent, LATENT_RATE, 0.0)]
        rates += [(p, NETWORK_RATE, DECAY if p.ndim > 1 else 0.0) for p in dense]
        self.optimiser = Adam(rates)

    def step(self) -> tuple[float, float]:
        """A frame, or several: forward, backward, Adam. -> their mean loss and mean squared error."""
        resolution, factor = self.schedule.resolution_at(self.steps), self.schedule.rate(self.steps)
        if self.steps and resolution != self.schedule.resolution_at(self.steps - 1):
            self.dataset.forget_pictures(self.schedule.resolution_at(self.steps - 1))
        views = [self._view(i, raw, resolution, factor) for i, raw in self.views_of(self.steps)]
        self.optimiser.step(factor)
        self.steps += 1
        loss, mse = (sum(x) / len(views) for x in zip(*views, strict=True))
        self.taken.append((loss, mse))
        return loss, mse

    def views_of(self, step: int) -> list[tuple[int, np.ndarray]]:
        """The frames of a step, and each one's raw code as the network is given it."""
        shown = range(step * self.schedule.views, (step + 1) * self.schedule.views)
        frames = [self.schedule.frame(k, self.split.train, self.line) for k in shown]
        noise = [CODE_NOISE * self.schedule.noise(k, self.codes.shape[1]) for k in shown]
        return [(i, self.codes[i] + n) for i, n in zip(frames, noise, strict=True)]

    def _view(self, i: int, raw: np.ndarray, resolution: int, factor: float) -> tuple[float, float]:
        """One frame: its gradients are added to the parameters', its camera takes its own step."""
        device = self.avatar.backend.device
        turn, shift = self.camera_of(i)
        rotation = torch.from_numpy(turn).to(device).requires_grad_()
        translation = torch.from_numpy(shift).to(device).requires_grad_()
        camera = self.dataset.camera(resolution)
        image = self.avatar.render(raw, self.dataset.vertices(i), rotation, translation, camera)
        loss, mse = self.avatar.backend.huber(image, self.dataset.picture(i, resolution), self.mouth_weight)
        (loss / self.schedule.views if self.schedule.views > 1 else loss).backward()
        self.poses.step(i, turn, rotation.grad.cpu().numpy(), translation.grad.cpu().numpy(), factor)
        return loss.item(), mse.item()

    def means(self) -> tuple[float, float]:
        """Mean loss and mean squared error of the steps since it was last asked for."""
        losses, errors = zip(*self.taken, strict=True)
        self.taken = []
        return float(np.mean(losses)), float(np.mean(errors))

    def camera_of(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """World-to-camera (3,3), (3,) of frame i, corrected; other frames' corrections tell an unseen one's."""
        return self.poses.camera(i, self.dataset.rotation[i], self.dataset.translation[i])

    def picture_of(self, i: int, resolution: int, ground: tuple = WHITE, fit: Fit | None = None) -> np.ndarray:
        """(H,W,3) uint8: frame i as the avatar shows it, as it was tracked or as `fit` says."""
        turn, shift = self.camera_of(i) if fit is None else (fit.rotation, fit.translation)
        device = self.avatar.backend.device
        turn, shift = (torch.from_numpy(x).to(device) for x in (turn, shift))
        code = None if fit is None else torch.from_numpy(fit.code).to(device)
        camera = self.dataset.camera(resolution)
        with torch.no_grad():
            image = self.avatar.render(self.codes[i], self.dataset.vertices(i), turn, shift, camera, ground, code)
        return np.rint(image[:3].clamp(0, 1).cpu().numpy().transpose(1, 2, 0) * 255).astype(np.uint8)

    def state(self) -> dict:
        poses = {k: torch.from_numpy(v) for k, v in self.poses.state().items()}
        return {"step": self.steps, **self.avatar.state(), "poses": poses, "optimiser": self.optimiser.state()}

    def restore(self, state: dict) -> None:
        """Go on from `state()`; the avatar is the one that `Avatar.restored` made of it."""
        self.steps = state["step"]
        self.poses.restore({k: v.numpy() for k, v in state["poses"].items()})
        if "optimiser" in state:  # a finished training has dropped it
            self.optimiser.restore(state["optimiser"])
