"""metrical-tracker's .frame as it comes: from a GPU or not, with fewer parameters or more words than FlashAvatar reads.

Source: metrical-tracker (commit c2a5172) tracker.py, save_checkpoint: flame, camera (PyTorch3D's), opencv, img_size
(height, width), frame_id. The camera stands in it twice, which tells a file that somebody turned round.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats import torch_archive
from avatarmake.formats.frame import FrameRecord
from avatarmake.geometry import cameras, rotations
from stages.imported import parameters

AGREE_DEGREES, AGREE_PX = 0.05, 0.05  # between a file's two cameras, in float32 and after PyTorch3D's own sums


class FrameFiles:
    """Reads one after another; `sizes` collects how many parameters they had."""

    def __init__(self):
        self.sizes: dict[str, set[int]] = defaultdict(set)

    def read(self, path: Path) -> FrameRecord:
        """K in pixels of the image that it was tracked on. Raises StageError."""
        payload = torch_archive.load(path)
        if not isinstance(payload, dict):
            raise StageError(f"holds a {type(payload).__name__}, expected metrical-tracker's groups", path)
        flame, opencv = (self._group(payload, name, path) for name in ("flame", "opencv"))
        record = FrameRecord(
            shape=self._padded("shape", flame, "shape", 300, path),
            expression=self._padded("expression", flame, "exp", 100, path),
            jaw_rot6d=self._vector(flame, "jaw", 6, path),
            eyes_rot6d=self._vector(flame, "eyes", 12, path),
            eyelids=self._vector(flame, "eyelids", 2, path),
            R=parameters.matrix(self._item(opencv, "R", path), "opencv.R", path).astype(np.float32),
            t=self._vector(opencv, "t", 3, path),
            intrinsics=parameters.matrix(self._item(opencv, "K", path), "opencv.K", path).astype(np.float32),
            image_size=self._size(payload, path),
        )
        if isinstance(payload.get("camera"), dict):
            self._agree(payload["camera"], record, path)
        return record

    @staticmethod
    def _group(payload: dict, name: str, path: Path) -> dict:
        if not isinstance(payload.get(name), dict):
            raise StageError(f"has no {name}: no .frame of metrical-tracker", path)
        return payload[name]

    @staticmethod
    def _item(group: dict, key: str, path: Path):
        if key not in group:
            raise StageError(f"has no {key}", path)
        return group[key]

    def _vector(self, group: dict, key: str, size: int, path: Path, shorter: bool = False) -> np.ndarray:
        return parameters.vector(self._item(group, key, path), size, key, path, shorter)

    def _padded(self, name: str, group: dict, key: str, size: int, path: Path) -> np.ndarray:
        made = self._vector(group, key, size, path, shorter=True)
        self.sizes[name].add(int(np.size(group[key])))
        return made

    @staticmethod
    def _size(payload: dict, path: Path) -> tuple[int, int]:
        height, width = parameters.vector(payload.get("img_size", ()), 2, "img_size", path)
        if not (float(height).is_integer() and float(width).is_integer() and min(height, width) > 0):
            raise StageError(f"img_size is ({height}, {width}), expected height and width in pixels", path)
        return int(width), int(height)

    @staticmethod
    def _agree(camera: dict, record: FrameRecord, path: Path) -> None:
        """Raises StageError where the file's PyTorch3D camera is not its OpenCV camera."""
        if not {"R", "t", "fl", "pp"} <= camera.keys():
            return
        turn, shift = cameras.pytorch3d_view(record.R.astype(np.float64), record.t.astype(np.float64))
        theirs = rotations.matrix_from_rot6d(parameters.vector(camera["R"], 6, "camera.R", path).astype(np.float64))
        off = parameters.degrees(turn @ theirs.T)
        if not off < AGREE_DEGREES:
            raise StageError(
                f"its two cameras differ: opencv.R is turned by {off:.1f} degrees from camera.R, which is PyTorch3D's",
                path,
                "One of them was edited, or transposed: get the file again from the tracker",
            )
        apart = np.abs(parameters.vector(camera["t"], 3, "camera.t", path) - shift).max()
        k, (w, h) = record.intrinsics, record.image_size
        half = min(w, h) / 2
        focal = float(parameters.vector(np.ravel(camera["fl"])[:1], 1, "camera.fl", path)[0]) * half
        x, y = parameters.vector(camera["pp"], 2, "camera.pp", path) * -half + np.array([w, h]) / 2
        pixels = max(abs(focal - k[1, 1]), abs(x - k[0, 2]), abs(y - k[1, 2]), apart * k[1, 1] / max(record.t[2], 0.01))
        if not pixels < AGREE_PX:
            raise StageError(
                f"its two cameras differ by {pixels:.2f} px: opencv.K and t are not camera.fl, pp and t",
                path,
                "One of them was edited, or is of another image size: get the file again from the tracker",
            )
