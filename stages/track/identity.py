"""What all frames of a video share: one shape, one focal length, from keyframes; and a camera in closed form.

Shape (300) and log focal are solved for together with the 115 unknowns of each keyframe: arrow-shaped normal equations,
of which the frames are eliminated by a Schur complement. The focal length is weakly observable, hence its prior.
"""

from dataclasses import dataclass, replace

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.head_model.model import N_SHAPE, HeadModel
from stages.track import parameters as P
from stages.track.points import OUTER_CORNERS
from stages.track.projection import Projection
from stages.track.solver import FrameSolver, second_difference

NOISE = 0.01  # of landmarks, in outer-eye distances
KEYFRAMES = 24
# Of log focal. Landmarks say little about it and what they say is wrong: on the demo subject (truth: 1400 px) they pull
# it down to 930, as they do on real faces; the detector has seen mostly selfies. So the prior decides.
FOCAL_SIGMA = 0.02


@dataclass
class Identity:
    shape: np.ndarray  # (300,) float32
    focal: float  # px
    unit: float  # px: landmark noise, see NOISE
    iterations: int = 0


def spread(landmarks: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` of the configurations landmarks (F,L,2) that differ most: farthest-point sampling, sorted.

    Sizes and places in the image are taken out, poses and expressions left.
    """
    x = landmarks - landmarks.mean(1, keepdims=True)
    x = (x / np.sqrt((x**2).sum((1, 2), keepdims=True))).reshape(len(x), -1)
    chosen = [int(((x - np.median(x, 0)) ** 2).sum(1).argmin())]
    far = ((x - x[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(count, len(x)):
        chosen.append(int(far.argmax()))
        far = np.minimum(far, ((x - x[chosen[-1]]) ** 2).sum(1))
    return np.array(sorted(chosen))


def outer_eye_distance(landmarks: np.ndarray) -> np.ndarray:
    """All 478 landmarks (F,478,2+) -> (F,) px between the outer corners of the eyes."""
    a, b = OUTER_CORNERS
    return np.linalg.norm(landmarks[:, a, :2] - landmarks[:, b, :2], axis=-1)


def focal_guess(source_size: tuple[float, float]) -> float:
    """Focal length in px of a crop, by the size of the whole source frame in the crop's px: 1.2 times the longer edge.

    That is 45 degrees across, between a phone and a webcam. A video may have been cropped before and then says less
    than it was, so the crop is never taken for wider than flame-head-tracker takes it: 20 degrees.
    """
    narrow = IMAGE_SIZE / 2 / np.tan(np.radians(20 / 2))
    return float(np.clip(1.2 * max(source_size), narrow, 4 * narrow))


def closed_form_camera(points: np.ndarray, uv: np.ndarray, focal: float, centre: np.ndarray):
    """Scaled-orthographic pose of points (L,3) seen at uv (F,L,2) -> OpenCV R (F,3,3), t (F,3). Least squares."""
    mean = points.mean(0)
    rows = np.swapaxes(np.linalg.pinv(points - mean) @ (uv - uv.mean(1, keepdims=True)), 1, 2)  # (F,2,3)
    u, s, vh = np.linalg.svd(rows, full_matrices=False)
    two = u @ vh
    r = np.concatenate([two, np.cross(two[:, :1], two[:, 1:])], 1)
    depth = focal / s.mean(1)
    xy = (uv.mean(1) - centre) / focal * depth[:, None]
    return r, np.concatenate([xy, depth[:, None]], 1) - r @ mean


def start(projection: Projection, uv: np.ndarray, priors: P.Priors, numbers: np.ndarray) -> np.ndarray:
    """Where the solution of frames `numbers` (F,) begins: priors' means and closed-form cameras; uv (F,L,2) -> (F,115).

    Cameras are smoothed over some ten frames: a rough course costs the solver more steps than a slightly wrong one.
    """
    p = np.repeat(priors.mean[None], len(uv), 0)
    points = projection.neutral.astype(np.float64)
    r, t = closed_form_camera(points, uv.astype(np.float64), float(projection.focal), projection.centre)
    P.set_camera(p, r, t, projection.pivot.astype(np.float64))
    camera = p[:, P.ROTATION.start :]
    second = second_difference(numbers)
    camera[:] = np.linalg.solve(np.eye(len(p)) + 300 * second.T @ second, camera)
    return p.astype(projection.dtype)


def from_samples(
    seen: np.ndarray, model: HeadModel, trust: np.ndarray, focal: float, image_size: tuple, priors: P.Priors,
    together: float = 1.0,
) -> Identity:  # fmt: skip
    """The identity from landmarks seen (n,478,2) in frames spread over the video; `model` at the landmarks to fit.

    `together`: how much noisier than a frame's own a landmark is taken to be, because it errs alike in all keyframes.
    """
    keyframes = seen[spread(seen, KEYFRAMES)][:, model.landmark_ids]
    unit = NOISE * float(np.median(outer_eye_distance(seen)))
    return replace(solve(model, trust, keyframes, together * unit, focal, image_size, priors), unit=unit)


def solve(
    model: HeadModel, trust: np.ndarray, uv: np.ndarray, unit: float, focal: float, image_size: tuple[int, int],
    priors: P.Priors, most: int = 12, tol: float = 1e-3,
) -> Identity:  # fmt: skip
    """Shape and focal length from keyframes uv (K,L,2) of the landmarks that `model` was reduced to.

    `focal` is the prior's mean. In float64: it is done once.
    """
    projection = Projection(model, np.zeros(N_SHAPE), focal, image_size, np.float64)
    frames = FrameSolver(projection, trust, unit, priors)
    none = np.zeros((0, len(uv)))  # nothing ties keyframes, which are far apart
    apart = np.arange(0, 10 * len(uv), 10)
    p = frames.solve(start(projection, uv, priors, apart), uv, apart, most=5).p
    x = np.zeros(N_SHAPE + 1)  # shape, log focal over its prior's mean
    precision = np.r_[np.ones(N_SHAPE), FOCAL_SIGMA**-2.0]

    def cost(x: np.ndarray, p: np.ndarray) -> float:
        projection.set(x[:N_SHAPE], focal * np.exp(x[-1]))
        return frames.cost(p, uv, none) + float((precision * x * x).sum())

    now, damping, done = cost(x, p), 1e-3, 0
    while done < most and damping < 1e6:
        done += 1
        projection.set(x[:N_SHAPE], focal * np.exp(x[-1]))
        dx, dp = _arrow_step(projection, frames, p, uv, precision, x, damping)
        new = cost(x + dx, p + dp)
        if new < now:
            gain = (now - new) / now
            x, p, now, damping = x + dx, p + dp, new, max(damping * 0.1, 1e-8)
            if gain < tol:
                break
        else:
            damping *= 10
    return Identity(x[:N_SHAPE].astype(np.float32), float(focal * np.exp(x[-1])), unit, done)


def _arrow_step(projection, frames, p, uv, precision, x, damping):
    """One damped step: eliminate the frames' unknowns (Schur complement), solve for the shared ones, go back."""
    seen, jac, shared = projection.uv_jacobian(p, with_shape=True)
    h, g, jw, rw, w = frames.equations(p, uv, seen, jac)
    sw = (shared * (w / frames.unit)[..., None, None]).reshape(len(p), -1, N_SHAPE + 1)
    cross = jw.swapaxes(1, 2) @ sw  # (K,115,301)
    flat = sw.reshape(-1, N_SHAPE + 1)
    hs, gs = flat.T @ flat + np.diag(precision), flat.T @ rw.ravel() - precision * x
    np.einsum("fii->fi", h)[:] *= 1 + damping
    np.einsum("ii->i", hs)[:] *= 1 + damping
    solved = np.linalg.solve(h, np.concatenate([cross, g[..., None]], 2))  # h^-1 [cross | g]
    hc, hg = solved[..., :-1], solved[..., -1]
    schur = hs - np.einsum("kns,knt->st", cross, hc, optimize=True)
    dx = np.linalg.solve(schur, gs - np.einsum("kns,kn->s", cross, hg))
    return dx, hg - hc @ dx
