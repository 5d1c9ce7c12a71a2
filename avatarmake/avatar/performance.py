"""A performance: what a head does over time, and where the camera stands. What is tracked, recorded and driven with.

The file is an .npz, version 1; docs/conventions.md has its keys. The same values give the same bytes.
"""

import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from avatarmake.avatar.head import Parameters
from avatarmake.errors import StageError
from avatarmake.files.whole import whole
from avatarmake.formats import npy, zips
from avatarmake.formats.npz import write_npz
from avatarmake.geometry import rotations

VERSION = 1
LARGEST = 1 << 28  # bytes of an array: nine hours at 25 a second
# key -> shape, F frames; the type on disk
ARRAYS: dict[str, tuple[tuple[Any, ...], str]] = {
    "times": (("F",), "f8"),
    "expression": (("F", 100), "f4"),
    "jaw_pose": (("F", 3), "f4"),
    "eye_pose": (("F", 6), "f4"),
    "eyelids": (("F", 2), "f4"),
    "R": (("F", 3, 3), "f4"),
    "t": (("F", 3), "f4"),
    "intrinsics": ((3, 3), "f4"),
    "image_size": ((2,), "i8"),
    "fps": ((), "f8"),
}
TEXTS = ("head_model", "head_model_digest")
ORTHOGONAL = 1e-3  # how far R R^T may be from the identity


@dataclass(frozen=True, eq=False)
class Performance:
    """F frames of one head, in order of time. Rotations are axis-angle, cameras OpenCV's world-to-camera."""

    head_model: str  # "open" or "flame", and the digest of the very one: the numbers mean nothing without it
    head_model_digest: str
    fps: float  # nominal; `times` are what counts
    times: np.ndarray  # (F,) seconds, rising, float64
    expression: np.ndarray  # (F,100)
    jaw_pose: np.ndarray  # (F,3)
    eye_pose: np.ndarray  # (F,6)
    eyelids: np.ndarray  # (F,2)
    R: np.ndarray  # (F,3,3)
    t: np.ndarray  # (F,3)
    intrinsics: np.ndarray  # (3,3) pixels of `image_size`: the camera that R and t are of
    image_size: tuple[int, int]  # w, h

    def __len__(self) -> int:
        return len(self.times)

    def parameters(self, i: int) -> Parameters:
        return Parameters(self.expression[i], self.jaw_pose[i], self.eye_pose[i], self.eyelids[i])

    def at(self, times: np.ndarray) -> "Performance":
        """The same at other times: in between straight, rotations on the shortest way; held before and after."""
        times = np.asarray(times, np.float64)
        after = np.clip(np.searchsorted(self.times, times, side="right"), 1, max(len(self) - 1, 1))
        before = after - 1
        after = np.minimum(after, len(self) - 1)
        span = self.times[after] - self.times[before]
        share = np.clip((times - self.times[before]) / np.where(span > 0, span, 1), 0, 1)

        def between(a: np.ndarray) -> np.ndarray:
            s = share.reshape(-1, *[1] * (a.ndim - 1))
            return ((1 - s) * a[before] + s * a[after]).astype(np.float32)

        names = ("expression", "jaw_pose", "eye_pose", "eyelids", "t")
        step = rotations.axis_angle_from_matrix(self.R[after] @ np.swapaxes(self.R[before], -1, -2))
        turned = rotations.matrix_from_axis_angle(step * share[:, None]) @ self.R[before]
        return replace(self, times=times, R=turned.astype(np.float32), **{n: between(getattr(self, n)) for n in names})

    def write(self, path: Path) -> None:
        """Whole or not at all. Raises StageError for what `read` would refuse."""
        values: dict[str, Any] = {"version": np.int64(VERSION)}
        values |= {name: np.str_(getattr(self, name)) for name in TEXTS}
        values |= {name: np.asarray(getattr(self, name), kind) for name, (_, kind) in ARRAYS.items()}
        _check(values, path)
        with whole(path) as temporary:
            write_npz(temporary, values)

    @classmethod
    def read(cls, path: Path) -> "Performance":
        """Raises StageError that says what is wrong with a file that somebody may have made by hand."""
        values = _arrays(path)
        _check(values, path)
        size = values.pop("image_size")
        known = {f.name for f in fields(cls)}
        plain = {name: str(values[name]) for name in TEXTS} | {"fps": float(values["fps"])}
        arrays = {n: np.ascontiguousarray(values[n], k) for n, (_, k) in ARRAYS.items() if n in values and n != "fps"}
        return cls(**{k: v for k, v in (arrays | plain).items() if k in known}, image_size=(int(size[0]), int(size[1])))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of the file that is asked for here; what else is there is let be."""
    values = {}
    try:
        with zips.opened(path) as archive:
            there = set(archive.namelist())
            for name in ("version", *TEXTS, *ARRAYS):
                if f"{name}.npy" in there:
                    values[name] = npy.array(zips.read(archive, f"{name}.npy", LARGEST))
    except FileNotFoundError as e:
        raise StageError("is not there", path) from e
    except (zipfile.BadZipFile, ValueError) as e:
        raise StageError(f"is no readable .npz: {e}", path) from e
    return values


def _check(values: dict[str, Any], path: Path) -> None:
    """Raises StageError unless this is a performance of VERSION."""
    missing = [name for name in ("version", *TEXTS, *ARRAYS) if name not in values]
    if missing:
        what = f"is no file of parameters: it has no {', '.join(missing[:4])}"
        raise StageError(what, path, "docs/conventions.md says what it must have")
    version = values["version"]
    if version.shape != () or version.dtype.kind not in "iu" or int(version) != VERSION:
        raise StageError(f"is of version {version}, and {VERSION} is read here", path, "Make it with this release")
    frames = len(values["times"]) if values["times"].ndim else 0
    if not frames:
        raise StageError("holds no frame", path)
    for name, (shape, _) in ARRAYS.items():
        expected = tuple(frames if n == "F" else n for n in shape)
        if values[name].shape != expected:
            raise StageError(f"{name} is {values[name].shape}, expected {expected}", path)
        if values[name].dtype.kind not in "fiu" or not np.isfinite(values[name]).all():
            raise StageError(f"{name} holds what is no number", path)
    if any(values[name].shape != () or values[name].dtype.kind != "U" for name in TEXTS):
        raise StageError(f"{' and '.join(TEXTS)} are no texts", path)
    if (np.diff(values["times"]) <= 0).any():
        raise StageError(f"times do not rise at frame {int((np.diff(values['times']) <= 0).argmax()) + 1}", path)
    if not values["fps"] > 0 or not (values["image_size"] > 0).all() or not values["intrinsics"][0, 0] > 0:
        raise StageError("fps, image_size and the focal length must be above 0", path)
    r = values["R"].astype(np.float64)
    off = np.abs(r @ np.swapaxes(r, -1, -2) - np.eye(3)).max((1, 2))
    if (off > ORTHOGONAL).any() or (np.linalg.det(r) < 0).any():
        raise StageError(f"R of frame {int(off.argmax())} is no rotation", path)
