"""FlashAvatar's schedule over its own modules: its losses, rates and steps, with our split and a state that goes on.

    mean(huber(d)) + 40 mean(huber(mouth d)), and after 15,000 steps 0.05 LPIPS of the head

Its own loop never applies the last step, begins its order anew when it goes on, and holds every picture as floats on
its device; otherwise a step here is a step there. Every choice follows from the seed and the step's number alone.
"""

from typing import NamedTuple

import numpy as np
import torch

from avatarmake.avatar.ply import SH0
from stages.flashavatar import PERCEPTION
from stages.flashavatar.frames import Frames
from stages.flashavatar.upstream import FlashAvatar
from stages.train.dataset import Dataset
from stages.train.split import Split

WHITE = (1.0, 1.0, 1.0)
DELTA, MOUTH, LPIPS = 0.1, 40, 0.05
DEGREE, RISES = 3, 500  # of spherical harmonics, and the steps after which it rises by one


class Schedule(NamedTuple):
    iterations: int
    resolution: int
    seed: int

    def frame(self, step: int, train: tuple[int, ...]) -> int:
        """Each epoch shows every training frame once, in an order of its own: upstream's shuffled stack."""
        epoch, at = divmod(step, len(train))
        return train[np.random.default_rng([self.seed, epoch]).permutation(len(train))[at]]


class Trainer:
    """Upstream's deformation and Gaussians, trained on the frames of `split.train`."""

    def __init__(
        self,
        flash: FlashAvatar,
        dataset: Dataset,
        split: Split,
        schedule: Schedule,
        ground: tuple[float, float, float],
        device: torch.device,
    ):
        self.dataset, self.split, self.schedule = dataset, split, schedule
        self.steps, self.curve, self.seconds = 0, [], []
        self._flash, self._device = flash, device
        self.frames = Frames(flash, dataset, ground, device)
        self._ground = torch.tensor(ground, device=device)
        torch.manual_seed(schedule.seed)
        self.deformation = flash.Deform_Model(device).to(device)
        self.deformation.training_setup()
        self.gaussians = flash.GaussianModel(DEGREE)
        self._shape = {"shape": self.frames.shape()}
        self.deformation.example_init(self._shape)
        self._perceived = flash.LPIPS(net="vgg").to(device) if schedule.iterations > PERCEPTION else None

    def step(self) -> tuple[float, float]:
        """One frame: forward, backward, both of its Adams. -> loss, mean squared error."""
        number = self.steps + 1  # upstream counts from 1
        if number % RISES == 0:
            self.gaussians.oneupSHdegree()
        i = self.schedule.frame(self.steps, self.split.train)
        camera = self.frames.camera(i, self.schedule.resolution)
        self._pose(self.frames.codes(i))
        image = self._flash.render(camera, self.gaussians, self._flash.pipeline, self._ground)["render"]
        loss = self._loss(image, camera, number)
        loss.backward()
        for part in (self.gaussians, self.deformation):
            part.optimizer.step()
            part.optimizer.zero_grad(set_to_none=True)
        self.steps = number
        return loss.item(), (image.detach() - camera.original_image).square().mean().item()

    def _loss(self, image: torch.Tensor, camera, number: int) -> torch.Tensor:
        truth, mouth, head = camera.original_image, camera.mouth_mask, camera.head_mask
        huber = self._flash.huber_loss
        loss = huber(image, truth, DELTA) + MOUTH * huber(image * mouth, truth * mouth, DELTA)
        if number > PERCEPTION:
            seen = (self._flash.normalize_for_percep(picture * head) for picture in (image, truth))
            loss = loss + LPIPS * self._perceived(*seen).mean()
        return loss

    def _pose(self, codes: dict) -> None:
        """Put the Gaussians where these codes have them; the first time they are made there."""
        points, turns, sizes = (part[0] for part in self.deformation.decode(self._shape | codes))
        if self.gaussians.optimizer is None:
            self.gaussians.create_from_verts(points)
            self.gaussians.training_setup(self._flash.rates)
        self.gaussians.update_xyz_rot_scale(points, turns, sizes)

    def picture_of(self, i: int, resolution: int, ground: tuple[float, float, float] = WHITE) -> np.ndarray:
        """(H,W,3) uint8: frame i as the avatar shows it."""
        return self.pictures_of(i, resolution, ground)[0]

    @torch.no_grad()
    def pictures_of(self, i: int, resolution: int, *grounds: tuple[float, float, float]) -> list[np.ndarray]:
        """The same over several grounds, which are what is cheap of it."""
        camera = self.frames.camera(i, resolution, compared=False)
        self._pose(self.frames.codes(i))
        found = []
        for ground in grounds:
            colour = torch.tensor(ground, device=self._device)
            image = self._flash.render(camera, self.gaussians, self._flash.pipeline, colour)["render"]
            found.append(np.rint(image.clamp(0, 1).permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8))
        return found

    @torch.no_grad()
    def canonical(self) -> list[np.ndarray]:
        """means (N,3), axes (N,3,3), opacities (N,), colours (N,3) of the head without expression, from no side."""
        self._pose(self.frames.still())
        g = self.gaussians
        colours = 0.5 + SH0 * g.get_features[:, 0]
        parts = (g.get_xyz, self._flash.axes(g.get_rotation, g.get_scaling), g.get_opacity[:, 0], colours)
        return [part.cpu().numpy() for part in parts]

    def state(self) -> tuple:
        """What upstream's own train.py saves, and its test.py reads."""
        return self.deformation.capture(), self.gaussians.capture(), self.steps

    def restore(self, state: tuple) -> None:
        deformation, gaussians, self.steps = state
        self.deformation.restore(deformation)
        self.gaussians.restore(gaussians, self._flash.rates)
