"""BY=tour: everything that an avatar can be asked for, one after the other, and a turn around it."""

from dataclasses import replace

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.performance import Performance
from stages.drive.bounds import Bounds
from stages.drive.transfer import still

FPS = 25
EACH = 24  # frames of each: to its highest, to its lowest, and back
TURN = 200  # frames of the turn around the head
JAW = ((1, (0,)), (1, (1,)))  # which columns of which group of the parameters move together
GAZE = ((2, (0, 3)), (2, (1, 4)))
LIDS = ((3, (0,)), (3, (1,)), (3, (0, 1)))


def tour(own: Performance, rest: Parameters, bounds: Bounds) -> tuple[Performance, np.ndarray]:
    """-> the performance, in the avatar's own parameters, and how far the camera has gone round it (F,) radians."""
    steps = [*((0, (k,)) for k in range(len(rest.expression))), *JAW, *GAZE, *LIDS]
    frames = EACH * len(steps) + TURN
    parts = [np.repeat(x[None], frames, 0) for x in rest]
    wave = np.sin(2 * np.pi * np.arange(EACH) / EACH)
    for i, (group, columns) in enumerate(steps):
        for k in columns:
            up, down = bounds.high[group][k] - rest[group][k], rest[group][k] - bounds.low[group][k]
            parts[group][EACH * i : EACH * (i + 1), k] += np.where(wave > 0, wave * up, wave * down).astype(np.float32)
    yaw = np.zeros(frames)
    yaw[-TURN:] = 2 * np.pi * np.arange(TURN) / TURN
    rotation, translation = still(own, frames)
    made = dict(zip(Parameters._fields, parts, strict=True))
    return replace(own, fps=float(FPS), times=np.arange(frames) / FPS, R=rotation, t=translation, **made), yaw
