"""Frames refined by what they show, after the landmarks were solved for.

The detector's errors are alike wherever view and face are alike, so that no number of landmarks averages them out. The
person's own skin has none: texture and keyframes are found by turns (`person`), from coarse to fine; then every frame
is held against that texture (`course`). Landmarks stay, with little weight: they say where the head model's features
are, which texture cannot, and they are all there is where nothing can be seen.
"""

from dataclasses import replace

import numpy as np

from avatarmake.head_model.model import HeadModel
from stages.track import parameters as P
from stages.track.contrast import Patch
from stages.track.photometric import Photometry, Texture
from stages.track.solver import FrameSolver, MeanFrame, conjugate_gradients
from stages.track.surface import Surface

KEYFRAMES = 32
SCALES = (1.7, 0.85)  # sigmas of local contrast, in FrameSolver's unit (a hundredth of the eyes' distance): 2 and 1 px
FINEST = 0.8  # px
TURNS = 14  # of texture and keyframes at each scale
STEPS = 3  # of a frame at each scale
LANDMARKS = 0.03  # how much landmarks count beside texture: they err together, so that their number says little
TOGETHER = 3.0  # likewise for the shape: keyframes' landmarks are alike, their errors make a face crooked and turn it
# Times the precision of an expression's prior, for how far it goes from what landmarks said. A real face's light and
# skin change as no expression explains: held, it is the camera that follows texture, and a real video's avatar gains.
HELD = 10.0
LIVELY = 0.3  # times the precision of how little a pose's course bends: texture shakes less than landmarks
QUIET = 2.0  # times the precision of an expression's prior: pose explains what it can, or expressions turn the head
# Eyes turn as a pair, up and down alike, sideways but for how near they look: precisions of left minus right
PAIRED = np.kron([[1, -1], [-1, 1]], np.diag([0.02**-2.0, 0.05**-2.0])).astype(np.float32)
DAMPING = 1e-3
LARGEST = P.vector(1.0, 0.1, 0.2, 0.3, 0.05, 0.02)  # of a step


class Refiner:
    """Refines keyframes and runs of frames of one person; `frames`: the solver of their landmarks."""

    def __init__(self, head: HeadModel, frames: FrameSolver, size: tuple[int, int]):
        precision = frames.priors.precision.copy()
        self.held = np.zeros_like(precision)
        self.held[P.EXPRESSION] = HELD * precision[P.EXPRESSION]
        precision[P.EXPRESSION] *= QUIET
        smoothness = frames.priors.smoothness.copy()
        for part in (P.ROTATION, P.TRANSLATION):
            smoothness[part] *= LIVELY
        priors = replace(frames.priors, precision=precision, smoothness=smoothness)
        self.frames = FrameSolver(frames.projection, LANDMARKS * frames.trust, frames.unit, priors)
        self.surface = Surface(head, frames.projection, size)

    def person(self, p: np.ndarray, target: np.ndarray, patches: list[Patch]) -> list[Texture]:
        """The texture at each scale, from keyframes solved for by landmarks: p (K,115), target (K,L,2)."""
        none, start = np.zeros((len(p), len(p)), p.dtype), p  # nothing ties keyframes
        for scale in SCALES:
            photometry = self._photometry(patches, scale)
            for _ in range(TURNS):
                p = self._step(photometry, photometry.gather(p), p, start, target, none)
        return [self._photometry(patches, scale).gather(p) for scale in SCALES]

    def course(
        self, p: np.ndarray, target: np.ndarray, bend: np.ndarray, patches: list[Patch], textures: list[Texture]
    ) -> np.ndarray:
        """A run of frames p (F,115), solved for by landmarks (F,L,2) -> refined; bend (F,F): what makes it smooth."""
        start = p
        for texture in textures:
            photometry = Photometry(self.surface, self.frames.projection, patches, texture.sigma)
            for _ in range(STEPS):
                p = self._step(photometry, texture, p, start, target, bend)
        return p

    def _photometry(self, patches: list[Patch], scale: float) -> Photometry:
        return Photometry(self.surface, self.frames.projection, patches, max(scale * float(self.frames.unit), FINEST))

    def _step(
        self,
        photometry: Photometry,
        texture: Texture,
        p: np.ndarray,
        start: np.ndarray,
        target: np.ndarray,
        bend: np.ndarray,
    ) -> np.ndarray:
        """One Gauss-Newton step on landmarks, priors, texture and a smooth course -> the new p; `start`: landmarks'."""
        frames = self.frames
        h, g, *_ = frames.equations(p, target, *frames.projection.uv_jacobian(p))
        photometry.add(p, texture, h, g)
        h[:, P.EYES, P.EYES] += PAIRED
        g[:, P.EYES] -= p[:, P.EYES] @ PAIRED
        g -= frames.smoothness * (bend @ p) + self.held * (p - start)
        diagonal = np.einsum("fii->fi", h)
        diagonal += self.held
        diagonal *= 1 + DAMPING
        step = conjugate_gradients(h, bend, frames.smoothness, g, MeanFrame(h, bend, frames.smoothness))
        return p + np.clip(step, -LARGEST, LARGEST).astype(p.dtype)
