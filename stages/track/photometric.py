"""A person's own texture, and frames held against it: the photometric equations beside those of landmarks.

Each point of the surface has a texture of local contrast, t_s, gathered over keyframes. A frame's residual is what its
picture shows where the point is now, r_s = t_s - I(uv_s(p)); it adds

    sum_s seen_s / noise_s^2 rho(r_s)

to the frame's cost. Linearised by the picture's gradient, d r_s = - grad I . d uv_s / d p d p, so that a point is one
more row of the same 115 unknowns.
"""

from dataclasses import dataclass

import numpy as np

from stages.track.contrast import Patch, local_contrast, sample
from stages.track.projection import Projection
from stages.track.surface import Surface

OUTLIER = 2.0  # in noises: residuals well beyond it are outliers
LEAST = 0.05  # contrast: no texture is known better
SHARE = 0.1  # of what the points say counts: neighbours say the same, and texture is not all that changes


@dataclass(frozen=True, eq=False)
class Texture:
    """At one scale: value (S,), noise (S,); infinite noise where too few keyframes see the point."""

    sigma: float
    value: np.ndarray
    noise: np.ndarray


class Photometry:
    """Frames' patches at one scale, on one person's surface."""

    def __init__(self, surface: Surface, landmarks: Projection, patches: list[Patch], sigma: float):
        self.surface, self.landmarks, self.sigma = surface, landmarks, sigma
        self.contrasts = [local_contrast(p.grey, sigma) for p in patches]
        self.corners = [p.corner for p in patches]

    def look(self, p: np.ndarray):
        """p (F,115), frame by frame -> poses (Posed of one frame), values (S,), gradients (S,2), seen (S,)."""
        rims = self.landmarks.uv(p)
        for f in range(len(p)):
            posed = self.surface.projection.pose(p[f : f + 1])
            seen = self.surface.seen(posed, rims[f : f + 1])[0]
            yield posed, *sample(self.contrasts[f], self.corners[f], posed.uv[0]), seen

    def gather(self, p: np.ndarray) -> Texture:
        """The texture that frames at p show together: robust means over them."""
        looks = list(self.look(p))
        value, seen = np.stack([k[1] for k in looks]), np.stack([k[3] for k in looks])
        weight = seen
        for _ in range(4):
            total = weight.sum(0)
            mean = (weight * value).sum(0) / np.maximum(total, 1e-6)
            spread = np.sqrt((weight * (value - mean) ** 2).sum(0) / np.maximum(total, 1e-6)) + LEAST
            weight = seen / (1 + ((value - mean) / (OUTLIER * spread)) ** 2) ** 2
        noise = np.where(seen.sum(0) > 0.1 * len(p), spread, np.inf)
        return Texture(self.sigma, mean.astype(value.dtype), noise.astype(value.dtype))

    def add(self, p: np.ndarray, texture: Texture, h: np.ndarray, g: np.ndarray) -> None:
        """Add the points' part to the frames' normal equations h (F,115,115), g (F,115), in place."""
        for f, (posed, value, gradient, seen) in enumerate(self.look(p)):
            r = (texture.value - value) / texture.noise
            w = SHARE * seen / (1 + (r / OUTLIER) ** 2) ** 2
            w[~np.isfinite(texture.noise)] = 0
            way = gradient / texture.noise[:, None]
            j = self.surface.projection.along(p[f : f + 1], posed, way[None])[0]
            jw = j * w[:, None]
            h[f] += jw.T @ j
            g[f] += r @ jw
