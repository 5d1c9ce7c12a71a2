"""Frames refined by what they show, after the landmarks were solved for.

The detector's errors are alike wherever view and face are alike, so that no number of landmarks averages them out. The
person's own skin has none: texture and keyframes are found by turns (`person`), from coarse to fine, shape and focal
length with them; then every frame is held against that texture (`course`). Landmarks stay, with little weight: they
say where the head model's features are, which texture cannot, and they are all there is where nothing can be seen.
"""

from dataclasses import dataclass

import numpy as np

from avatarmake.head_model.model import N_SHAPE, HeadModel
from stages.track import identity
from stages.track import parameters as P
from stages.track.contrast import Patch
from stages.track.photometric import Photometry, Texture
from stages.track.solver import FrameSolver, MeanFrame, conjugate_gradients
from stages.track.surface import Surface

KEYFRAMES = 32
SCALES = (1.7, 0.85)  # sigmas of local contrast, in FrameSolver's unit (a hundredth of the eyes' distance): 2 and 1 px
FINEST = 0.8  # px
TURNS = 10  # of texture and keyframes at each scale
OWN_TURNS = 2  # of these, the first that leave shape and focal length alone
STEPS = 3  # of a frame at each scale
LANDMARKS = 0.03  # how much landmarks count beside texture: they err together, so that their number says little
DAMPING = 1e-3
LARGEST = P.vector(1.0, 0.1, 0.2, 0.3, 0.05, 0.02)  # of a step
LARGEST_SHARED = 1.0


@dataclass(frozen=True, eq=False)
class Appearance:
    """What all frames of a video share: shape (300,) and focal length refined, and the texture at each scale."""

    shape: np.ndarray
    focal: float
    textures: list[Texture]


class Refiner:
    """Refines keyframes and runs of frames of one person; `frames`: the solver of their landmarks."""

    def __init__(self, head: HeadModel, frames: FrameSolver, size: tuple[int, int]):
        projection = frames.projection
        self.frames = FrameSolver(projection, LANDMARKS * frames.trust, frames.unit, frames.priors)
        self.surface = Surface(head, projection, size)

    def photometry(self, patches: list[Patch], sigma: float) -> Photometry:
        return Photometry(self.surface, self.frames.projection, patches, sigma)

    def person(self, p: np.ndarray, target: np.ndarray, patches: list[Patch], focal: float) -> Appearance:
        """From keyframes solved for by landmarks: p (K,115), target (K,L,2), `focal` the prior's mean."""
        projection, precision = self.frames.projection, identity.shared_precision()
        x = np.append(projection.shape.astype(np.float64), np.log(float(projection.focal) / focal))
        for scale in SCALES:
            photometry = self.photometry(patches, max(scale * float(self.frames.unit), FINEST))
            for turn in range(TURNS):
                texture = photometry.gather(p)
                h, g, cross, hs, gs = identity.shared_equations(self.frames, p, target, precision, x)
                photometry.add(p, texture, h, g, (cross, hs, gs))
                if turn < OWN_TURNS:
                    cross[:] = 0
                dx, dp = identity.arrow_solution(*(a.astype(np.float64) for a in (h, g, cross, hs, gs)), DAMPING)
                p = p + np.clip(dp, -LARGEST, LARGEST).astype(p.dtype)
                if turn >= OWN_TURNS:
                    x = x + np.clip(dx, -LARGEST_SHARED, LARGEST_SHARED)
                    self.set(x[:N_SHAPE], focal * np.exp(x[-1]))
        textures = [self.photometry(patches, max(s * float(self.frames.unit), FINEST)).gather(p) for s in SCALES]
        return Appearance(x[:N_SHAPE].astype(np.float32), float(focal * np.exp(x[-1])), textures)

    def set(self, shape: np.ndarray, focal: float) -> None:
        self.frames.projection.set(shape, focal)
        self.surface.set(shape, focal)

    def course(
        self, p: np.ndarray, target: np.ndarray, bend: np.ndarray, patches: list[Patch], textures: list[Texture]
    ) -> np.ndarray:
        """A run of frames p (F,115), solved for by landmarks (F,L,2) -> refined; bend (F,F): what makes it smooth."""
        frames = self.frames
        for texture in textures:
            photometry = self.photometry(patches, texture.sigma)
            for _ in range(STEPS):
                h, g, *_ = frames.equations(p, target, *frames.projection.uv_jacobian(p))
                photometry.add(p, texture, h, g)
                g -= frames.smoothness * (bend @ p)
                np.einsum("fii->fi", h)[:] *= 1 + DAMPING
                precondition = MeanFrame(h, bend, frames.smoothness)
                step = conjugate_gradients(h, bend, frames.smoothness, g, precondition)
                p = p + np.clip(step, -LARGEST, LARGEST).astype(p.dtype)
        return p
