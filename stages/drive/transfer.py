"""One's performance on another's avatar: what differs from the driver's rest, added to the avatar's own.

    expression = own rest + GAIN (driver - driver's rest)        jaw likewise
    gaze       = own rest + driver - driver's rest
    lids       = the way from the driver's rest to where theirs close, on the way from one's own rest to where they do

The head moves about the avatar's own median pose as the driver's does about theirs: turns by the same angles, goes as
far in the picture, in sizes that a head has there, and comes as much nearer. A tracker takes a part of a face's shape
for a turn of the head, one or two degrees of it, and each face's another; where people sit in a picture differs from
video to video, and how large they are.
"""

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.performance import Performance
from avatarmake.geometry import rotations
from stages.drive.neutral import Neutral


def transfer(driver: Performance, theirs: Neutral, own: Neutral, gain: float) -> Parameters:
    """-> (F,...) for the avatar, not yet bounded."""
    rest, own_rest = theirs.parameters, own.parameters
    more = driver.eyelids - rest.eyelids
    closing = more / (theirs.closed - rest.eyelids) * (own.closed - own_rest.eyelids)
    return Parameters(
        own_rest.expression + gain * (driver.expression - rest.expression),
        own_rest.jaw_pose + gain * (driver.jaw_pose - rest.jaw_pose),
        own_rest.eye_pose + driver.eye_pose - rest.eye_pose,
        own_rest.eyelids + np.where(more > 0, closing, more),
    )


def as_driver(driver: Performance, own: Performance, absolute: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """-> R (F,3,3), t (F,3) of the avatar's camera; the driver's very rotation where `absolute`."""
    place, depth = on_picture(driver)
    own_place, own_depth = on_picture(own)
    larger = size(own, own_depth) / size(driver, depth)
    where = np.median(own_place, 0) + larger * (place - np.median(place, 0))
    z = np.median(own_depth) * depth / np.median(depth)
    k, (w, h) = own.intrinsics.astype(np.float64), own.image_size
    x = (where[:, 0] * w - k[0, 2]) / k[0, 0] * z
    y = (where[:, 1] * h - k[1, 2]) / k[1, 1] * z
    turn = np.eye(3) if absolute else median_rotation(driver.R).T @ median_rotation(own.R)
    return (driver.R @ turn).astype(np.float32), np.stack([x, y, z], 1).astype(np.float32)


def median_rotation(r: np.ndarray) -> np.ndarray:
    """(F,3,3) -> (3,3): the median of each component of the turns away from the frame nearest to the middle."""
    nearest = r[np.abs(r - np.median(r, 0)).sum((1, 2)).argmin()].astype(np.float64)
    away = rotations.axis_angle_from_matrix(nearest.T @ r)
    return nearest @ rotations.matrix_from_axis_angle(np.median(away, 0))


def on_picture(p: Performance) -> tuple[np.ndarray, np.ndarray]:
    """-> where the head's origin is seen (F,2), of the picture's sides, and how far it is (F,)."""
    k, size = p.intrinsics.astype(np.float64), np.array(p.image_size)
    z = p.t[:, 2].astype(np.float64)
    seen = p.t[:, :2] / z[:, None] * [k[0, 0], k[1, 1]] + [k[0, 2], k[1, 2]]
    return seen / size, z


def size(p: Performance, depth: np.ndarray) -> float:
    """How large a metre is seen there, mostly, in the picture's sides."""
    return float(p.intrinsics[0, 0] / p.image_size[0] / np.median(depth))


def as_own(own: Performance, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The avatar's own motion at these times: its video forwards and back again, as often as it takes."""
    length = own.times[-1] - own.times[0]
    phase = np.mod(times - times[0], 2 * length) if length > 0 else 0 * times
    there = own.at(own.times[0] + np.minimum(phase, 2 * length - phase))
    return there.R, there.t


def still(own: Performance, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The frame of the avatar's video that is nearest to its median pose, as often as there are frames."""
    x = np.concatenate([own.R.reshape(-1, 9), own.t], 1)
    k = int(np.abs(x - np.median(x, 0)).sum(1).argmin())
    return np.repeat(own.R[k : k + 1], frames, 0), np.repeat(own.t[k : k + 1], frames, 0)
