"""What of an avatar the page holds: its arrays in the units that page/evaluate.js takes, and a performance to play."""

import numpy as np

from avatarmake.avatar.binding import LOG_SCALE, START_OPACITY, START_SCALE, STEP
from avatarmake.avatar.deformation import UNITS, Deformation
from avatarmake.avatar.head import Head
from avatarmake.avatar.model import Avatar, view_of
from avatarmake.avatar.performance import Performance
from avatarmake.avatar.surface import Surface
from avatarmake.head_model.bases import NAMED
from stages.view.packing import Packed, exact, halves, steps

SIZES = {"expression": 100, "jaw_pose": 3, "eye_pose": 6, "eyelids": 2, "view": 3}
FOREVER = 1e9  # seconds: JSON has no infinity
# what a Gaussian has where nothing was learned, in the columns of binding.py
START = np.array([0, 0, 0, 1, 0, 0, 0, *START_SCALE, START_OPACITY, 0.5, 0.5, 0.5], np.float32)


def facts(avatar: Avatar, performance: Performance, drives: tuple[str, ...] = ()) -> dict:
    """What is said about the arrays, and what the page needs to know besides."""
    return {
        "name": avatar.name,
        "head_model": avatar.head_model,
        "head_model_digest": avatar.head_model_digest,
        "log_scale": LOG_SCALE,
        "named": list(NAMED),
        "focal": avatar.intrinsics[0, 0] / avatar.image_size[0],  # of a picture one wide
        "start": typical(avatar, performance),
        "body_seconds": min(avatar.seconds, FOREVER),
        "drives": list(drives),
    }


def arrays(
    avatar: Avatar, performance: Performance, drives: dict[str, Performance] | None = None
) -> dict[str, Packed]:
    """By the names that page/evaluate.js and page/page.js know; a drive's are `anna/times` and so on."""
    driven = {f"{of}/{name}": a for of, p in (drives or {}).items() for name, a in _played(avatar, p).items()}
    return {
        **_deformation(avatar.deformation),
        **_head(avatar.head),
        **_surface(avatar.surface),
        **_played(avatar, performance),
        **driven,
    }


def typical(avatar: Avatar, performance: Performance) -> int:
    """The frame whose code is nearest to the mean of what was trained on: how the page opens."""
    views = view_of(performance.R)
    far = []
    for i, view in enumerate(views):
        p = performance.parameters(i)
        raw = np.concatenate([group * unit for group, unit in zip((*p, view), UNITS.values(), strict=True)])
        far.append(float((avatar.deformation.code(raw.astype(np.float32)) ** 2).sum()))
    return int(np.argmin(far))


def _deformation(d: Deformation) -> dict[str, Packed]:
    """Units and steps are in the arrays, so that the page has none of either."""
    units = np.concatenate([np.full(SIZES[name], unit, np.float32) for name, unit in UNITS.items()])
    return {
        "mean": exact(d.mean / units),
        "components": exact(d.components * units),
        "low": exact(d.range[0]),
        "high": exact(d.range[1]),
        "hidden_weight": exact(d.hidden_weight),
        "hidden_bias": exact(d.hidden_bias),
        "layer_weight": exact(d.layer_weight),
        "layer_bias": exact(d.layer_bias),
        "latent": halves(d.latent),
        "base": halves(START + d.base * STEP),
        "out": exact(d.out * STEP),
    }


def _head(head: Head) -> dict[str, Packed]:
    return {
        "rest": exact(head.rest),
        "basis": steps(head.basis),
        "weights": exact(head.weights),
        "joints": exact(head.joints),
    }


def _surface(surface: Surface) -> dict[str, Packed]:
    return {
        "corners": exact(surface.corners.astype(np.uint16)),
        "barycentric": halves(surface.weights),
        "spacing": halves(surface.spacing),
    }


def _played(avatar: Avatar, p: Performance) -> dict[str, Packed]:
    return {**_performance(p), **(_body(avatar, p) if avatar.seconds else {})}


def _performance(p: Performance) -> dict[str, Packed]:
    return {
        "times": exact((p.times - p.times[0]).astype(np.float32)),
        "expression": halves(p.expression),
        "jaw_pose": exact(p.jaw_pose),
        "eye_pose": exact(p.eye_pose),
        "eyelids": exact(p.eyelids),
        "view": exact(view_of(p.R)),
        "translation": exact(p.t),
    }


def _body(avatar: Avatar, p: Performance) -> dict[str, Packed]:
    """Where the body stands before the camera: x' = turn x + shift in the head's axes, put behind R and t.

    Rounded, because the means that it comes from are BLAS's, whose last bits are the machine's.
    """
    body, r = avatar.body(p), p.R.astype(np.float64)
    place = (r @ body.shift[..., None])[..., 0] + p.t
    parts = {"body_view": view_of(r @ body.turn), "body_translation": place}
    return {name: exact(np.round(part, 5).astype(np.float32) + np.float32(0)) for name, part in parts.items()}
