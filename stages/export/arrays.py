"""avatar.npz: everything that an avatar is, as named arrays. Version 1; docs/conventions.md has the list."""

import numpy as np

from avatarmake.avatar import binding
from avatarmake.avatar.deformation import UNITS
from avatarmake.avatar.model import Avatar
from avatarmake.avatar.performance import Performance
from avatarmake.head_model.bases import NAMED

VERSION = 1
WIDTHS = {"expression": 100, "jaw_pose": 3, "eye_pose": 6, "eyelids": 2, "view": 3}


def arrays(avatar: Avatar, own: Performance) -> dict[str, np.ndarray]:
    """Name -> array, in the order of the document. `own`: where a camera may stand."""
    head, deformation, surface = avatar.head, avatar.deformation, avatar.surface
    middle = int(np.abs(own.t - np.median(own.t, 0)).sum(1).argmin())
    return {
        "version": np.int64(VERSION),
        "head_model": np.str_(avatar.head_model),
        "head_model_digest": np.str_(avatar.head_model_digest),
        "expressions": np.array(list(NAMED)),
        "rest": head.rest,
        "basis": head.basis,
        "skinning": head.weights,
        "joints": head.joints,
        "parents": head.parents,
        **surface._asdict(),
        **deformation._asdict(),
        "units": np.concatenate([np.full(WIDTHS[name], unit, np.float32) for name, unit in UNITS.items()]),
        "step": binding.STEP,
        "start_scale": binding.START_SCALE,
        "start_opacity": np.float32(binding.START_OPACITY),
        "log_scale": np.array(binding.LOG_SCALE, np.float32),
        "intrinsics": avatar.intrinsics.astype(np.float32),
        "image_size": np.array(avatar.image_size, np.int64),
        "R": own.R[middle],
        "t": own.t[middle],
    }
