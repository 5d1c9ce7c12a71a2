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
        place = np.random.default_rng([self.seed, epoch]).permutation(round(line[-1]))[at]
        at = np.searchsorted(line, place + (epoch + 0.5) * GOLDEN % 1, side="right")
        return train[min(int(at), len(train) - 1)]

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
        """One frame: forward, backward, Adam. -> loss, mean squared error."""
        i = self.schedule.frame(self.steps, self.split.train, self.line)
        resolution, factor = self.schedule.resolution_at(self.steps), self.schedule.rate(self.steps)
        device = self.avatar.backend.device
        turn, shift = self.camera_of(i)
        rotation = torch.from_numpy(turn).to(device).requires_grad_()
        translation = torch.from_numpy(shift).to(device).requires_grad_()
        raw = self.codes[i] + CODE_NOISE * self.schedule.noise(self.steps, self.codes.shape[1])
        camera = self.dataset.camera(resolution)
        image = self.avatar.render(raw, self.dataset.vertices(i), rotation, translation, camera)
        loss, mse = self.avatar.backend.huber(image, self.dataset.picture(i, resolution), self.mouth_weight)
        loss.backward()
        self.optimiser.step(factor)
        self.poses.step(i, turn, rotation.grad.cpu().numpy(), translation.grad.cpu().numpy(), factor)
        self.steps += 1
        return loss.item(), mse.item()

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
