"""A frame's camera by its own picture: where an avatar looks most like it.

Gauss-Newton on the six numbers of a small rigid correction (avatarmake/avatar/correction.py). Residuals are those of
train's loss, colours and alpha, and Huber's function by weights of their own size (Holland and Welsch, "Robust
regression using iteratively reweighted least-squares", 1977). Derivatives are differences of pictures: the Gaussians
are bound to the frame's mesh once, and what is left of a picture costs milliseconds. Of all cameras that were looked at
the best one is taken, the first among them: a picture that tells nothing leaves the head where it was.
"""

import numpy as np
import torch

from avatarmake.avatar.correction import corrected
from stages.refine.likeness import SIZE
from stages.train.avatar import WHITE
from stages.train.losses import ALPHA, DELTA
from stages.train.trainer import Trainer

ROUNDS = 4
SLOPED = (0, 2)  # rounds before which derivatives are taken
NUDGE = 0.25  # of a correction's UNIT: a quarter of a pixel of 512, about
DAMPING = 1e-6  # of the mean curvature: a direction that changes no picture is not gone
FARTHEST = 5.0  # UNITs, of a correction's length: further off it is no refinement
SCALES = torch.tensor([1, 1, 1, 3 * ALPHA]).sqrt()[:, None, None]  # alpha's part of the loss is of one plane


def find(trainer: Trainer, i: int) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera rotation (3,3), translation (3,) of frame i, from where training, or frames of like codes, say
    that it is."""
    avatar, dataset = trainer.avatar, trainer.dataset
    rotation, translation = trainer.camera_of(i)
    picture, camera = dataset.picture(i, SIZE), dataset.camera(SIZE)
    truth = torch.from_numpy(np.concatenate([picture.pixels, picture.cover[None]])) / 255 * SCALES

    with torch.no_grad():
        gaussians = avatar.bound(trainer.codes[i], dataset.vertices(i))

        def residual(x: np.ndarray) -> torch.Tensor:
            where = (torch.from_numpy(part) for part in corrected(x, rotation, translation))
            return (avatar.backend.rasterise(*gaussians, *where, camera, WHITE) * SCALES - truth).ravel()

        x = best = np.zeros(6)
        now = residual(x)
        least = _cost(now)
        for k in range(ROUNDS):
            if k in SLOPED:
                slopes = torch.stack([(residual(x + NUDGE * unit) - now) / NUDGE for unit in np.eye(6)])
            weighted = slopes / (now.abs() / DELTA).clamp(min=1)
            curvature, slope = ((weighted @ part).double().numpy() for part in (slopes.T, now))
            x = x - np.linalg.solve(curvature + (DAMPING * np.trace(curvature) / 6 + 1e-12) * np.eye(6), slope)
            now = residual(x)
            cost = _cost(now)
            if cost < least and np.linalg.norm(x) < FARTHEST:
                best = x
            least = min(least, cost)
    return corrected(best, rotation, translation)


def _cost(residual: torch.Tensor) -> float:
    size = residual.abs()
    near = size.clamp(max=DELTA)
    return (near * (size - near / 2)).mean().item()
