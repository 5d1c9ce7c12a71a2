"""What MediaPipe sees in an image: 478 face landmarks, face boxes, the person's silhouette.

Runs the graphs and weights bundled in the mediapipe wheel (Apache-2.0), and a face_landmarker.task where the user has
one, on the CPU: nothing is fetched, nothing sent.
All coordinates are pixels of the image given, pixel centres at +0.5 (MediaPipe's own: its 0..1 times the size).
Images are (H,W,3) uint8 RGB. Each detector is a context manager; close it, a graph holds threads and 20-60 MB.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from avatarmake.errors import Exit, StageError

# MediaPipe imports Matplotlib for drawings that nobody makes here: two of the three seconds that it takes to start.
for _name in ("matplotlib", "matplotlib.pyplot"):
    sys.modules.setdefault(_name, ModuleType(_name))

N_LANDMARKS = 478  # 468 of the face mesh, then 5 of the iris on the subject's right, 5 on the left
FAR = 1.5  # face sizes from where a face is expected: another's
N_BLENDSHAPES = 52  # MediaPipe's scores, 0..1: number 0 says nothing, 9 and 10 are eyeBlinkLeft and eyeBlinkRight


class _Graph:
    """Starts, runs and ends a mediapipe graph, without its log lines."""

    def __init__(self, start):
        _quiet_import()
        with silence():
            self._solution = start()
            self._awake()

    def _awake(self) -> None:
        """Wait for the graph's threads to have started, and said so; within silence."""
        self._run(np.zeros((32, 32, 3), np.uint8))
        self._fresh = True  # each network of a graph speaks up at its first use: silent until something was found

    def _process(self, rgb: np.ndarray):
        image = np.ascontiguousarray(rgb)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, (image.dtype, image.shape)
        with silence() if self._fresh else contextlib.nullcontext():
            return self._run(image)

    def _run(self, image: np.ndarray):
        return self._solution.process(image)

    def close(self) -> None:
        if self._solution is not None:
            self._solution.close()
            self._solution = None

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()


class FaceMesh(_Graph):
    """478 landmarks of one face, irises included.

    static=True looks at every image by itself: a face box first, then the mesh within it. static=False follows the
    face from image to image: a third less time and a sixth less jitter, but the result depends on the images before;
    `restart()` forgets them. With `faces` > 1 it looks for so many (half the time again when following) and takes the
    one nearest to the image's centre for its size; with one, MediaPipe takes the surest.
    """

    def __init__(self, static: bool = True, faces: int = 1):
        options = {"static_image_mode": static, "max_num_faces": faces, "refine_landmarks": True}
        super().__init__(lambda: _solutions().face_mesh.FaceMesh(**options))

    def restart(self) -> None:
        """Forget the images seen: what follows depends on nothing before."""
        with silence():
            self._solution.reset()
            self._awake()

    def detect(self, rgb: np.ndarray, near: np.ndarray | None = None) -> np.ndarray | None:
        """-> (478,3) float32, or None: x, y in px; z in px about the head's centre, negative towards the camera.

        `near` (n,2): places in px; of several faces the one closest to one of them, none that is far from all.
        """
        found = self._process(rgb).multi_face_landmarks
        if not found:
            return None
        self._fresh = False
        faces = [_pixels(face.landmark, rgb) for face in found]
        chosen = _chosen(faces, rgb, near)
        return None if chosen is None else faces[chosen]


class FaceLandmarker(_Graph):
    """478 landmarks of one face and the 52 scores of its expression, from the user's face_landmarker.task.

    Looks at every image by itself, so that a result depends on that image alone. Its following mode filters what it
    follows: less jitter, but late, with flatter blinks; the tracker's solver smooths better.
    Of several faces (up to `faces`) it takes the one nearest to the image's centre for its size.
    """

    def __init__(self, model: Path, faces: int = 1):
        try:
            super().__init__(lambda: _tasks().FaceLandmarker.create_from_options(_landmarker_options(model, faces)))
        except (RuntimeError, ValueError, OSError) as e:
            what = "is no Face Landmarker with blendshapes"
            again = "Type: make assets GET=face_landmarker"
            raise StageError(what, model, again, Exit.MISSING_ASSET) from e

    def detect(self, rgb: np.ndarray, near: np.ndarray | None = None) -> np.ndarray | None:
        """As FaceMesh.detect."""
        found = self.examine(rgb, near)
        return None if found is None else found[0]

    def examine(self, rgb: np.ndarray, near: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        """-> landmarks as FaceMesh.detect, blendshapes (52,) float32; or None."""
        found = self._process(rgb)
        if not found.face_landmarks:
            return None
        self._fresh = False
        faces = [_pixels(face, rgb) for face in found.face_landmarks]
        chosen = _chosen(faces, rgb, near)
        if chosen is None:
            return None
        return faces[chosen], np.array([c.score for c in found.face_blendshapes[chosen]], np.float32)

    def _run(self, image: np.ndarray):
        import mediapipe

        return self._solution.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, image))


class FaceDetector(_Graph):
    """Boxes of all faces. `far` takes the full-range model (faces down to some 5 m), else selfie distance."""

    def __init__(self, far: bool = True, confidence: float = 0.5):
        options = {"model_selection": int(far), "min_detection_confidence": confidence}
        super().__init__(lambda: _solutions().face_detection.FaceDetection(**options))

    def detect(self, rgb: np.ndarray) -> np.ndarray:
        """-> (n,5) float32: x0, y0, x1, y1 in px (may reach outside), score in 0..1; best first."""
        h, w = rgb.shape[:2]
        boxes = []
        found = self._process(rgb).detections or []
        self._fresh &= not found
        for d in found:
            b = d.location_data.relative_bounding_box
            boxes.append((b.xmin * w, b.ymin * h, (b.xmin + b.width) * w, (b.ymin + b.height) * h, d.score[0]))
        return np.array(sorted(boxes, key=lambda b: -b[4]), np.float32).reshape(-1, 5)


class SelfieSegmenter(_Graph):
    """The person against the background."""

    def __init__(self):
        super().__init__(lambda: _solutions().selfie_segmentation.SelfieSegmentation(model_selection=0))

    def alpha(self, rgb: np.ndarray) -> np.ndarray:
        """-> (H,W) uint8, 255 where the person is; soft edges of the 256 x 256 network."""
        import cv2  # mediapipe brings it

        mask = self._process(rgb).segmentation_mask
        self._fresh = False
        return cv2.convertScaleAbs(mask, alpha=255)  # rounded and clipped


def _pixels(landmarks, rgb: np.ndarray) -> np.ndarray:
    """MediaPipe's 0..1 -> (478,3) px."""
    h, w = rgb.shape[:2]
    return np.array([(p.x, p.y, p.z) for p in landmarks], np.float32) * np.array([w, h, w], np.float32)


def _chosen(faces: list[np.ndarray], rgb: np.ndarray, near: np.ndarray | None) -> int | None:
    """The most central face, or the one closest to one of the places `near` (n,2) in face sizes, unless FAR."""
    if near is None:
        return _central(faces, rgb)

    def distance(face: np.ndarray) -> float:
        low, high = face[:, :2].min(0), face[:, :2].max(0)
        return float(np.linalg.norm((low + high) / 2 - near, axis=-1).min() / max((high - low).max(), 1))

    best = min(range(len(faces)), key=lambda i: distance(faces[i]))
    return best if distance(faces[best]) < FAR else None


def _central(faces: list[np.ndarray], rgb: np.ndarray) -> int:
    """Which face is nearest to the image's centre, in face sizes: the subject is large and in the middle."""
    h, w = rgb.shape[:2]

    def eccentricity(face: np.ndarray) -> float:
        low, high = face[:, :2].min(0), face[:, :2].max(0)
        size = max(float((high - low).max()), 1.0)
        return float(np.hypot(*((low + high) / 2 - (w / 2, h / 2)))) / size + max(w, h) / size

    return min(range(len(faces)), key=lambda i: eccentricity(faces[i]))


def _landmarker_options(model: Path, faces: int):
    from mediapipe.tasks.python import BaseOptions

    base = BaseOptions(model_asset_path=str(model))
    return _tasks().FaceLandmarkerOptions(base_options=base, num_faces=faces, output_face_blendshapes=True)


def _tasks():
    from mediapipe.tasks.python import vision

    return vision


def _solutions():
    from mediapipe.python import solutions

    return solutions


def _quiet_import() -> None:
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with silence():
        import mediapipe  # noqa: F401


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Send file descriptor 2 nowhere: MediaPipe's C++ logs its warnings there whatever its log level says."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
