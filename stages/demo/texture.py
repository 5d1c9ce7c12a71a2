"""The subject's texture: the portrait projected onto the head in the portrait's pose, the unseen parts made up.

Colours are float32 RGB in 0...255. What the portrait does not show is taken from the mirrored side, then spread from
the surroundings (push-pull over an image pyramid), with noise for pores and strands of hair.
"""

from dataclasses import dataclass

import numpy as np

from avatarmake.geometry import cameras
from avatarmake.head_model.mesh import normals
from avatarmake.head_model.model import HeadModel
from stages.demo import paint
from stages.demo.people import Person
from stages.demo.portrait import Fit, portrait
from stages.demo.rasteriser import rasterise

SIZE = 1024
ENLARGED = 3  # the portrait is enlarged so much before it is sampled


@dataclass
class Texels:
    """What lies under each texel (T,T,...) of the atlas."""

    face: np.ndarray  # (T,T) -1 where nothing is
    corners: np.ndarray  # (T,T,3) vertex ids
    barycentric: np.ndarray  # (T,T,3)

    def of(self, value: np.ndarray) -> np.ndarray:
        """Values (V,...) of the vertices -> (T,T,...) float32."""
        value = value.astype(np.float32)
        return sum(value[self.corners[..., k]] * self.barycentric[..., k].reshape(SIZE, SIZE, *[1] * (value.ndim - 1))
                   for k in range(3))  # fmt: skip


def texels(model: HeadModel) -> Texels:
    corners = model.uv.reshape(-1, 2).astype(np.float64) * SIZE
    own = np.arange(len(corners)).reshape(-1, 3)
    face, barycentric = rasterise(corners, np.ones(len(corners)), own, SIZE, SIZE)
    return Texels(face, model.faces[np.maximum(face, 0)], barycentric)


def texture(model: HeadModel, fit: Fit, amount: np.ndarray, shell: np.ndarray, seed: int, person: Person) -> np.ndarray:
    """(T,T,3) float32. `amount`, `shell`: hair.hair(model)."""
    at = texels(model)
    region = {name: mask[at.face] & (at.face >= 0) for name, mask in model.regions.items()}
    hairy = np.where(at.face >= 0, at.of(amount), 0)
    colour, seen = projected(model, fit, at, shell, hairy)
    seen = seen * (region["face"] | region["lips"] | region["scalp"])
    colour, seen = mirrored(colour, seen)
    rng = np.random.default_rng(seed)
    hair_part = (hairy > 0.3) & ~region["shoulders"]
    skin_part = (region["face"] | region["lips"] | region["neck"] | region["ears"] | region["scalp"]) & ~hair_part
    out = np.zeros((SIZE, SIZE, 3), np.float32)
    pores = paint.pores(rng, SIZE) * np.where(region["neck"], 0.3, 1)  # the neck's texels are long: noise makes streaks
    for part, grain, tint in ((skin_part, pores, person.skin), (hair_part, paint.strands(rng, SIZE), person.hair)):
        known = seen * part
        spread = paint.spread(colour, known)
        made = spread * (1 + grain[..., None])
        out[part] = (known[..., None] * colour + (1 - known[..., None]) * made)[part] * np.array(tint, np.float32)
    paint.chin_shadow(out, at.of(model.v_template), (region["neck"] | region["face"]) * (1 - seen))
    marks = landmark_uv(model)
    paint.nostrils(out, marks)
    paint.lids(out, marks, region["face"])
    paint.cloth(out, region["shoulders"], rng)
    paint.eyes(out)
    paint.mouth(out)
    return paint.bled(out, at.face >= 0)


def landmark_uv(model: HeadModel) -> np.ndarray:
    """(468,2) where on the atlas the face's landmarks lie."""
    skin = model.regions["face"] | model.regions["lips"]
    uv = np.zeros((len(model.v_template), 2))
    uv[model.faces[skin].ravel()] = model.uv[skin].reshape(-1, 2)
    return uv[:468]


def projected(
    model: HeadModel, fit: Fit, at: Texels, shell: np.ndarray, hairy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """-> the portrait's colour at each texel (T,T,3), and how well it shows the texel (T,T) in 0...1."""
    from PIL import Image

    v = fit.vertices(model).astype(np.float64) + shell
    camera = v @ fit.r.T + fit.t
    pixel = cameras.project(v, fit.r, fit.t, fit.intrinsics) * ENLARGED
    side = 512 * ENLARGED
    face, barycentric = rasterise(pixel, camera[:, 2].copy(), model.faces, side, side)
    nearest = np.where(face >= 0, (camera[:, 2][model.faces[face]] * barycentric).sum(-1), np.inf)
    picture = Image.fromarray(portrait()).resize((side, side), Image.LANCZOS)
    picture = np.asarray(picture).astype(np.float32)
    xy, depth = at.of(pixel), at.of(camera[:, 2])
    ij = np.clip(xy.astype(int), 0, side - 1)
    hidden = depth > nearest[ij[..., 1], ij[..., 0]] + 0.004
    toward = -at.of(normals(v, model.faces) @ fit.r.T)[..., 2]
    colour = bilinear(picture, xy)
    # the subject is warmer than the ground behind and the helmet's ring: red well above blue
    least = np.where(hairy > 0.05, 34, np.where(toward < 0.55, 14, -100))  # but skin may shine
    warm = np.clip((colour[..., 0] - colour[..., 2] - least) / 14, 0, 1)
    seen = np.clip((toward - 0.2) / 0.35, 0, 1) * ~hidden * warm * (at.face >= 0)
    return colour, seen


def bilinear(picture: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Colour of picture (H,W,3) at xy (...,2) px, pixel centres at +0.5."""
    h, w = picture.shape[:2]
    x, y = np.clip(xy[..., 0] - 0.5, 0, w - 1.001), np.clip(xy[..., 1] - 0.5, 0, h - 1.001)
    i, j = y.astype(int), x.astype(int)
    s, t = (y - i)[..., None], (x - j)[..., None]
    top = picture[i, j] * (1 - t) + picture[i, j + 1] * t
    return top * (1 - s) + (picture[i + 1, j] * (1 - t) + picture[i + 1, j + 1] * t) * s


def mirrored(colour: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill from the other side what this one does not show: the atlas is symmetric about its middle column."""
    other, there = colour[:, ::-1], seen[:, ::-1] * 0.9
    share = seen + (1 - seen) * there
    mixed = (seen[..., None] * colour + ((1 - seen) * there)[..., None] * other) / np.maximum(share, 1e-6)[..., None]
    return mixed, share
