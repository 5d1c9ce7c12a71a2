"""The subject's hair: a shell over the skull, each vertex moved along its normal; it moves with the head."""

import numpy as np

from avatarmake.head_model.mesh import normals
from avatarmake.head_model.model import HeadModel

# the lower edge of the hair, (z, y) in metres on the neutral head: from the nape to above the forehead
EDGE_Z = np.array([-0.175, -0.130, -0.095, -0.070, -0.055, -0.035, -0.010, 0.020])
EDGE_Y = np.array([-0.075, -0.065, -0.045, -0.034, -0.024, 0.012, 0.045, 0.058])
TOP, SIDES, FRONT = 0.020, 0.030, 0.014  # thickness
SOFT = 0.022  # over which the shell rises from its edge


def hair(model: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """-> amount (V,) 0...1 of hair on each vertex, displacement (V,3) metres on the neutral head."""
    p = model.v_template.astype(np.float64)
    skin = model.vertex_region("scalp") | model.vertex_region("face") | model.vertex_region("neck")
    rise = np.clip((p[:, 1] - np.interp(p[:, 2], EDGE_Z, EDGE_Y)) / SOFT, 0, 1)
    amount = np.where(skin & (p[:, 2] < 0.03), rise * rise * (3 - 2 * rise), 0)
    amount[:468] = 0  # the face's own landmarks stay where the truth says that they are
    normal = normals(p, model.faces)
    side = np.clip(np.abs(p[:, 0]) / 0.075, 0, 1)
    front = np.clip((p[:, 2] + 0.06) / 0.07, 0, 1)
    thickness = (TOP * (1 - side) + SIDES * side) * (1 - front) + FRONT * front
    wave = 1 + 0.10 * np.sin(p @ [55, 20, 35]) * np.sin(p @ [15, 60, -40] + 1)
    lift = amount * thickness * wave
    for _ in range(3):
        lift = smoothed(lift, model.faces, amount > 0)
    return amount, lift[:, None] * normal


def smoothed(value: np.ndarray, faces: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(V,) averaged once with the neighbours, at the vertices `where`."""
    total, count = value.copy(), np.ones(len(value))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        for i, j in ((a, b), (b, a)):
            total += np.bincount(faces[:, i], value[faces[:, j]], len(value))
            count += np.bincount(faces[:, i], minlength=len(value))
    return np.where(where, total / count, value)
