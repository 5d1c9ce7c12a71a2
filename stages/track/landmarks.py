"""The raw detections: MediaPipe's 478 landmarks on the fixed crop of each frame, NaN where there is no face.

Two detectors, of one interface. What a chunk's landmarks are depends neither on who detects it nor on what that process
did before.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.contract.layout import frame_image
from avatarmake.detection import N_LANDMARKS, FaceDetector, FaceLandmarker, FaceMesh
from avatarmake.formats.images import read_rgb
from stages.track.chunks import WARM_UP

LOOKS = (
    4  # at one image, after which a following detector has settled on it: 0.16 px on average from following, not 0.72
)
SEVERAL = 3  # faces told apart where there is more than one


@dataclass(frozen=True, eq=False)
class Detection:
    """One frame (H,W,3) and what was found in it: landmarks (478,2) float32 px, blendshapes (52,); or None."""

    image: np.ndarray
    landmarks: np.ndarray | None
    blendshapes: np.ndarray | None


class MeshDetector:
    """The face mesh that comes with mediapipe.

    It follows the face from frame to frame within a chunk. Measured on a real video, against looking at each frame by
    itself: 5.3 ms a frame instead of 8.3, jitter 1.35 px instead of 1.59 (the crop that the network sees comes from the
    last landmarks, not from a box detector's). Each chunk starts a fresh graph six frames early: what it then sees
    differs by 0.03 px from never having stopped.
    """

    name = "mesh"

    def __init__(self, frames: Path, path: np.ndarray | None = None):
        self._frames, self._path = frames, path
        self._boxes = FaceDetector(far=False)
        self._meshes: dict[int, FaceMesh] = {}

    def follow(self, first: int, last: int) -> Iterator[Detection]:
        """Frames first .. last - 1, one after the other; no blendshapes."""
        some = {first, (first + last) // 2, last - 1}
        mesh = self._mesh(SEVERAL if self._path is not None or self._crowded(some) else 1)
        mesh.restart()
        # the first chunk has none before it: it warms up on its own frames, backwards
        lead = range(first - WARM_UP, first) if first else range(min(WARM_UP, last - 1), -1, -1)
        for i in lead:
            mesh.detect(read(self._frames, i))
        for i in range(first, last):
            image = read(self._frames, i)
            points = mesh.detect(image, _places(self._path, i))
            yield Detection(image, None if points is None else points[:, :2], None)

    def each(self, indices: Iterable[int]) -> np.ndarray:
        """Frames by themselves, whatever is around them -> (n,478,2) float32 px."""
        with FaceMesh(static=True, faces=SEVERAL) as mesh:
            found = [mesh.detect(read(self._frames, i), _places(self._path, i)) for i in indices]
        return np.stack([_found(f) for f in found])

    def settled(self, indices: Iterable[int]) -> np.ndarray:
        """As `each`, but as `follow` would see them: a crop by the landmarks has other errors than one by a box."""
        mesh, found = self._mesh(SEVERAL), []
        for i in indices:
            mesh.restart()
            image = read(self._frames, i)
            found.append([mesh.detect(image, _places(self._path, i)) for _ in range(LOOKS)][-1])
        return np.stack([_found(f) for f in found])

    def close(self) -> None:
        for graph in (self._boxes, *self._meshes.values()):
            graph.close()

    def _crowded(self, indices: Iterable[int]) -> bool:
        """Whether more than one face is about. A mesh that follows the subject does not heed one that passes."""
        return any(len(self._boxes.detect(read(self._frames, i))) > 1 for i in sorted(indices))

    def _mesh(self, faces: int) -> FaceMesh:
        if faces not in self._meshes:
            self._meshes[faces] = FaceMesh(static=False, faces=faces)
        return self._meshes[faces]


class LandmarkerDetector:
    """The user's face_landmarker.task: every frame by itself, and blendshapes with it."""

    name = "landmarker"

    def __init__(self, frames: Path, model: Path, path: np.ndarray | None = None):
        self._frames, self._path = frames, path
        self._landmarker = FaceLandmarker(model, SEVERAL)

    def follow(self, first: int, last: int) -> Iterator[Detection]:
        """Frames first .. last - 1, one after the other, with blendshapes."""
        for i in range(first, last):
            image = read(self._frames, i)
            found = self._landmarker.examine(image, _places(self._path, i))
            yield Detection(image, found[0][:, :2], found[1]) if found else Detection(image, None, None)

    def each(self, indices: Iterable[int]) -> np.ndarray:
        """-> (n,478,2) float32 px."""
        found = [self._landmarker.detect(read(self._frames, i), _places(self._path, i)) for i in indices]
        return np.stack([_found(f) for f in found])

    settled = each  # it follows nothing

    def close(self) -> None:
        self._landmarker.close()


def open_detector(
    frames: Path, model: Path | None, path: np.ndarray | None = None
) -> MeshDetector | LandmarkerDetector:
    """`model`: a face_landmarker.task, or None. `path`: see `whereabouts`; without it the most central face counts."""
    return LandmarkerDetector(frames, model, path) if model else MeshDetector(frames, path)


def whereabouts(crop: dict) -> np.ndarray | None:
    """crop.json -> (F,2,2): for each image where the person was seen last and next, px; None where nobody else is."""
    if "path" not in crop:
        return None
    seen = np.array(crop["path"], np.float64)  # time, x, y
    after = np.searchsorted(seen[:, 0], np.array(crop["times"])).clip(0, len(seen) - 1)
    return seen[np.stack([(after - 1).clip(0), after], 1), 1:]


def _places(path: np.ndarray | None, index: int) -> np.ndarray | None:
    return None if path is None else path[index]


def read(frames: Path, index: int) -> np.ndarray:
    return read_rgb(frame_image(frames, index + 1))


def _found(points: np.ndarray | None) -> np.ndarray:
    return np.full((N_LANDMARKS, 2), np.nan, np.float32) if points is None else points[:, :2]


def has_face(landmarks: np.ndarray) -> np.ndarray:
    """(n,478,2) -> (n,) bool."""
    return np.isfinite(landmarks[:, 0, 0])
