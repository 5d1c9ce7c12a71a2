"""What the demo subject does: smooth curves for pose, jaw, mouth and brows; blinks; glances."""

from dataclasses import dataclass

import numpy as np

from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.bases import NAMED

DISTANCE = 1.05  # metres from the camera
FOCAL = 1400 / 512  # of the image's side
DEGREE = np.pi / 180
EXPRESSIONS = list(NAMED)


@dataclass
class Performance:
    """N frames of parameters; cameras are OpenCV world-to-camera."""

    expression: np.ndarray  # (N,100)
    jaw_pose: np.ndarray  # (N,3)
    eye_pose: np.ndarray  # (N,6)
    eyelids: np.ndarray  # (N,2)
    r: np.ndarray  # (N,3,3)
    t: np.ndarray  # (N,3)
    intrinsics: np.ndarray  # (3,3)


def perform(n: int, fps: int, size: int, seed: int) -> Performance:
    rng = np.random.default_rng(seed)
    time = np.arange(n) / fps

    def wave(period: float) -> np.ndarray:
        """A slow curve in -1...1 that never quite repeats."""
        a, b = rng.uniform(0, 2 * np.pi, 2)
        return 0.75 * np.sin(2 * np.pi * time / period + a) + 0.25 * np.sin(2 * np.pi * time / (0.43 * period) + b)

    def now_and_then(period: float, share: float) -> np.ndarray:
        """0 most of the time, rising smoothly to 1."""
        x = np.clip((wave(period) - (1 - 2 * share)) / (2 * share), 0, 1)
        return x * x * (3 - 2 * x)

    yaw, pitch, roll = 25 * DEGREE * wave(6.1), 9 * DEGREE * wave(4.7), 6 * DEGREE * wave(7.3)
    turn = rotations.matrix_from_axis_angle(np.stack([0 * yaw, yaw, 0 * yaw], -1))
    nod = rotations.matrix_from_axis_angle(np.stack([pitch, 0 * pitch, 0 * pitch], -1))
    tilt = rotations.matrix_from_axis_angle(np.stack([0 * roll, 0 * roll, roll], -1))
    pivot = np.array([0, -0.06, -0.08])  # the head turns about its own middle
    r = cameras.FLIP @ tilt @ nod @ turn
    t = -(r @ pivot) + np.stack([0.012 * wave(8), 0.075 + 0.010 * wave(7), DISTANCE + 0.03 * wave(9)], -1)

    speech = now_and_then(5.3, 0.6)
    expression = np.zeros((n, 100))
    act = {
        "smile": 1.6 * now_and_then(5.9, 0.45),
        "pucker": 0.9 * speech * np.clip(wave(0.9), 0, 1),
        "upper_lip_raise": 0.5 * speech * wave(0.7),
        "lower_lip_down": 0.6 * speech * wave(0.6),
        "brow_inner_up": 1.1 * now_and_then(4.1, 0.4),
        "brow_outer_up": 1.3 * now_and_then(4.9, 0.4),
        "brow_knit": 1.0 * now_and_then(6.7, 0.3),
        "cheek_raise": 0.5 * now_and_then(5.9, 0.45),
        "mouth_sideways": 0.4 * wave(3.7),
        "lips_apart": 0.6 * speech,
        "lips_stretch": 0.6 * speech * wave(1.1),
        "smile_one_sided": 0.4 * wave(4.3),
    }
    for name, curve in act.items():
        expression[:, EXPRESSIONS.index(name)] = curve
    jaw = np.stack([0.14 * speech * np.clip(wave(0.8) + 0.35, 0, 1.2), 0.015 * wave(3.1), 0 * time], -1)
    gaze = np.stack([7 * DEGREE * wave(2.3), 13 * DEGREE * wave(3.3) - 0.35 * yaw, 0 * time], -1)
    return Performance(
        expression=expression.astype(np.float32),
        jaw_pose=jaw.astype(np.float32),
        eye_pose=np.concatenate([gaze, gaze], 1).astype(np.float32),
        eyelids=blinks(n, fps, rng, gaze[:, 0]).astype(np.float32),
        r=r,
        t=t,
        intrinsics=cameras.intrinsics_from_focal(FOCAL * size, (size, size)),
    )


def blinks(n: int, fps: int, rng: np.random.Generator, gaze_down: np.ndarray) -> np.ndarray:
    """(N,2) left, right: a blink every 1.3 to 2.3 s, closing in 0.1 s and opening in 0.18; lids follow the gaze."""
    time = np.arange(n) / fps
    out = np.repeat(np.clip(0.05 + 0.8 * gaze_down, 0, 0.2)[:, None], 2, 1)
    at, which = 0.7, 0
    while at < n / fps + 0.5:
        shape = np.interp(time - at, [-0.14, -0.04, 0.04, 0.22], [0, 1, 1, 0])
        shape = shape * shape * (3 - 2 * shape)
        lids = np.array([1.0, 1.0])
        if which % 4 == 3:  # now and then one eye closes less
            lids[rng.integers(2)] = 0.6
        out = np.maximum(out, shape[:, None] * lids)
        at += rng.uniform(1.3, 2.3)
        which += 1
    return out
