"""One camera and one avatar: frames in, what the avatar does out, and a recording of it if one is asked for."""

import struct
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.avatar.model import view_of
from avatarmake.avatar.performance import Performance
from stages.drive import bounds, neutral, transfer
from stages.live.follower import Follower

HEADER = struct.Struct("<dHHI")  # seconds, width, height, nothing: then RGBA, row by row
LARGEST = 1920 * 1080 * 4 + HEADER.size  # bytes of a message


def frame(message: bytes) -> tuple[float, np.ndarray]:
    """-> seconds, (H,W,3) uint8. Raises ValueError for what is no frame."""
    if len(message) < HEADER.size:
        raise ValueError("no header")
    time, width, height, _ = HEADER.unpack_from(message)
    if not np.isfinite(time) or min(width, height) < 64 or len(message) != HEADER.size + 4 * width * height:
        raise ValueError(f"{width} x {height} pixels in {len(message)} bytes")
    pixels = np.frombuffer(message, np.uint8, offset=HEADER.size).reshape(height, width, 4)
    return time, np.ascontiguousarray(pixels[..., :3])


class Trunk:
    """Where the body stands under a head that moves now: its mean over the last `seconds`, the nearer the more.

    As avatarmake/head_model/body.py has it, which knows what is to come; `joint` (3,) is the neck's.
    """

    def __init__(self, joint: np.ndarray, seconds: float):
        self._joint, self._seconds = joint.astype(np.float64), seconds
        self._mean: np.ndarray | None = None
        self._time = 0.0

    def under(self, time: float, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World-to-camera R (3,3), t (3,) of the head -> of the body."""
        r = rotation.astype(np.float64)
        now = np.append(r.ravel(), r @ self._joint + translation)
        share = 1 - np.exp(-max(time - self._time, 0) / self._seconds)
        self._mean = now if self._mean is None else self._mean + share * (now - self._mean)
        self._time = time
        u, _, vt = np.linalg.svd(self._mean[:9].reshape(3, 3))
        return u @ vt, self._mean[9:] - u @ vt @ self._joint


class Session:
    """`own`: the avatar's performance in its own video; `follow(size)` makes a Follower for images of that size; `end`
    is called when it is over; `trunk` where the body does not go along with the head."""

    def __init__(
        self,
        own: Performance,
        follow: Callable,
        gain: float = 1.0,
        end: Callable = lambda: None,
        trunk: Trunk | None = None,
    ):
        self._end, self._trunk = end, trunk
        self._own, self._follow, self._gain = own, follow, gain
        self._rest, self._limits = neutral.find(own), bounds.bounds(own)
        self._follower: Follower | None = None
        self._first: tuple | None = None  # of the driver: the performance, and the face at rest in it
        self._recorded: list | None = None

    def see(self, message: bytes) -> dict:
        """A frame of the camera -> what the page is told. Raises ValueError for what is no frame."""
        time, image = frame(message)
        size = (image.shape[1], image.shape[0])
        if self._follower is None or self._follower.size != size:
            self._follower = self._follow(size)
        found = self._follower.follow(image, time)
        if found is None:
            begun = self._follower.first is not None
            return {"sent": time, "state": "lost" if begun else "waiting"}
        now = self._follower.performance(np.array([found.time]), found.p[None])
        if self._recorded is not None:
            self._recorded.append(now)
        return {"sent": time, "time": found.time, "state": "followed", "parameters": self.driven(now)}

    def driven(self, now: Performance) -> dict:
        """One frame of the driver -> the avatar's parameters, as the page takes them."""
        first = self._follower.first
        if self._first is None or self._first[0] is not first:
            self._first = first, neutral.find(first)
        asked = transfer.transfer(now, self._first[1], self._rest, self._gain)
        rotation, translation = transfer.as_driver(joined([first, now]), self._own)
        values = self._limits.cut(asked)._asdict()
        told = {name: values[name][0] for name in Parameters._fields}
        told |= {"view": view_of(rotation[-1]), "translation": translation[-1]}
        if self._trunk:
            r, t = self._trunk.under(float(now.times[-1]), rotation[-1], translation[-1])
            told |= {"body_view": view_of(r), "body_translation": t}
        return {name: np.round(value.astype(np.float64), 5).tolist() for name, value in told.items()}

    def close(self) -> None:
        if self._follower is not None:
            self._follower.settle()
        self._end()

    def record(self) -> None:
        self._recorded = []

    def recording(self) -> bytes | None:
        """The driver's own performance since `record`, as a file that `make drive BY=` takes; None where nothing is."""
        recorded, self._recorded = self._recorded, None
        if not recorded:
            return None
        whole = joined(recorded)
        whole = replace(whole, times=whole.times - whole.times[0], fps=rate(whole.times))
        with tempfile.TemporaryDirectory() as folder:
            whole.write(Path(folder) / "recorded.npz")
            return (Path(folder) / "recorded.npz").read_bytes()


def rate(times: np.ndarray) -> float:
    return float((len(times) - 1) / (times[-1] - times[0])) if len(times) > 1 else 25.0


def joined(parts: list[Performance]) -> Performance:
    """One after the other; what they share is the last one's. Of frames told twice, the first counts."""
    times = np.concatenate([p.times for p in parts])
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(times)) > 0])
    frames = {f.name for f in fields(Performance) if isinstance(getattr(parts[0], f.name), np.ndarray)} - {"intrinsics"}
    return replace(parts[-1], **{n: np.concatenate([getattr(p, n) for p in parts])[rising] for n in frames})
