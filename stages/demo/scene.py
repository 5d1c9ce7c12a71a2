"""Renders the subject: textured, mildly lit, supersampled twice, over a soft ground."""

from dataclasses import dataclass

import numpy as np

from avatarmake.geometry import cameras
from avatarmake.head_model.mesh import normals
from avatarmake.head_model.model import HeadModel
from stages.demo import hair, portrait, texture
from stages.demo.people import PEOPLE, Person
from stages.demo.rasteriser import rasterise, shade
from stages.demo.script import Performance

OVER = 2  # supersampling
LIGHT = np.array([-0.35, -0.55, -0.76])  # where it comes from, in the camera's axes
AMBIENT, DIFFUSE = 0.84, 0.24  # the portrait has its own light in it


@dataclass
class Subject:
    """The head that everything else is measured against: who it is, and what it looks like."""

    model: HeadModel
    shape: np.ndarray  # (300,)
    identity: np.ndarray  # (V,3)
    shell: np.ndarray  # (V,3) hair, on top of the model
    texture: np.ndarray  # (T,T,3)
    uv: np.ndarray  # (F,3,2)

    def points(self, act: Performance, k: int) -> np.ndarray:
        """(V,3) of frame k on the bare head model, world axes."""
        one = slice(k, k + 1)
        return self.model.vertices(
            self.shape, act.expression[one], act.jaw_pose[one], act.eye_pose[one], act.eyelids[one],
            identity=self.identity,
        )[0].astype(np.float64)  # fmt: skip


def subject(model: HeadModel, seed: int, person: Person = PEOPLE["eileen"]) -> Subject:
    fit = portrait.fit()
    amount, shell = hair.hair(model)
    painted = texture.texture(model, fit, amount, shell, seed, person)
    shape = person.shape(fit.shape)
    return Subject(model, shape, model.identity(shape), shell, painted, model.uv)


def ground(size: int) -> np.ndarray:
    """(S,S,3) float32: a wall out of focus, lighter behind the head."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    glow = np.exp(-((x - 0.5) ** 2 + (y - 0.4) ** 2) / 0.25)
    blob = 0.5 * np.sin(5 * x + 3 * y) + 0.5 * np.sin(7 * y - 4 * x + 1)
    return (np.array([150, 164, 178]) + glow[..., None] * 42 + blob[..., None] * [5, 4, 6]).astype(np.float32)


def render(who: Subject, points: np.ndarray, act: Performance, k: int, size: int, behind: np.ndarray) -> np.ndarray:
    """points (V,3) of the bare head, behind = ground(size) -> (size,size,3) uint8."""
    face, barycentric = _shown(who, points, act, k, size)
    v = points + who.shell
    lit = np.clip(normals(v, who.model.faces) @ act.r[k].T @ LIGHT, 0, 1)
    light = (AMBIENT + DIFFUSE * lit).astype(np.float32)[who.model.faces]
    return shade(face, barycentric, who.uv, light, who.texture, behind, OVER)


def masks(who: Subject, points: np.ndarray, act: Performance, k: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """True masks of frame k, (size,size) uint8: how much of a pixel the person covers, how much head and neck."""
    face = _shown(who, points, act, k, size)[0]
    person = face >= 0
    head = person & ~who.model.regions["shoulders"][face]
    shares = [m.reshape(size, OVER, size, OVER).mean((1, 3)) for m in (person, head)]
    alpha, neckhead = (np.rint(255 * share).astype(np.uint8) for share in shares)
    return alpha, neckhead


def _shown(who: Subject, points: np.ndarray, act: Performance, k: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which triangle each of the OVER x OVER samples of a pixel shows, and where in it: as rasterise() says it."""
    v = points + who.shell
    camera = v @ act.r[k].T + act.t[k]
    pixel = cameras.project(v, act.r[k], act.t[k], act.intrinsics) * OVER
    return rasterise(pixel, camera[:, 2].copy(), who.model.faces, OVER * size, OVER * size, False)


def landmarks(who: Subject, points: np.ndarray, act: Performance, k: int) -> np.ndarray:
    """(478,2) px, pixel centres at +0.5, of points (V,3) on the bare head."""
    return cameras.project(who.model.landmarks(points[None])[0], act.r[k], act.t[k], act.intrinsics)
