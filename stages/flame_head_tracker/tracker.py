"""Upstream's tracker from the patched copy, and what it found in one frame in our own words."""

import contextlib
import io
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from avatarmake import assets, detection
from avatarmake.contract import upstream
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.contract.stage import Stage
from avatarmake.errors import Exit, StageError
from avatarmake.formats.tracking import TRACKER_SIZE, Tracking
from avatarmake.geometry import cameras
from stages.flame_head_tracker import READS

KEYS = {  # asset -> the key of upstream's configuration that names its file
    "face_landmarker": "mediapipe_face_landmarker_v2_path",
    "flame2020": "flame_model_path",
    "flame_landmark_embedding": "flame_lmk_embedding_path",
    "deca": "deca_model_path",
    "mica": "mica_model_path",
}
REALIGN = False  # one fixed crop for the whole video: another crop a frame would put landmark noise into the camera


class UpstreamTracker:
    """flame-head-tracker's Tracker on one device. Images are (512,512,3) uint8 RGB."""

    def __init__(self, stage: Stage, config: Any):
        files = {name: assets.need(name) for name in READS}
        self.device = device(config.device)
        self._batch_size = config.batch_size
        self._frames = _modules(stage)
        asked = {
            "device": self.device,
            "result_img_size": IMAGE_SIZE,
            **{key: str(files[name]) for name, key in KEYS.items()},
            "iterations": config.iterations,
            "rigid_iterations": config.rigid_iterations,
            "optimize_fov": False,  # FlashAvatar takes one focal length for the whole video
        }
        with _landmarker_explained(files["face_landmarker"]), _quiet():
            self._tracker = self._frames.Tracker(asked)
        self._tracker.update_init_fov(config.fov)

    def shape(self, images: Iterable[np.ndarray]) -> np.ndarray | None:
        """(1,300) identity from the first few images that show a face; None where none does."""
        with self._enough_memory(), _quiet():  # each network of MediaPipe's speaks up at its first use
            return self._frames.estimate_shape(self._tracker, images, REALIGN)

    def track(self, images: list[np.ndarray], shape: np.ndarray) -> list[dict[str, np.ndarray] | None]:
        """Fit one batch, smoothed along it: upstream's results, frame by frame; None where there is no face."""
        with self._enough_memory():
            return self._frames.track_batch(self._tracker, images, shape, REALIGN)

    @contextlib.contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as e:  # torch says it in three ways
            if not isinstance(e, MemoryError) and not any(
                words in str(e) for words in ("out of memory", "can't allocate memory", "not enough memory")
            ):
                raise
            what = f"not enough memory on {self.device} for a batch of {self._batch_size} frames"
            smaller = max(self._batch_size // 2, 1)
            advice = f"Give a smaller one, --batch-size={smaller}" if self._batch_size > 1 else "Close other programs"
            raise StageError(what, next=advice, exit=Exit.ENVIRONMENT) from e


def tracking(result: dict[str, np.ndarray]) -> Tracking:
    """Upstream's result for one frame -> ours. Its K refers to 256 px, its landmarks to the image that it was given."""
    one = {key: np.asarray(value[0], np.float32) for key, value in result.items() if key != "img"}
    return Tracking(
        shape=one["shape"],
        expression=one["exp"],
        jaw_pose=one["jaw_pose"],
        eye_pose=one["eye_pose"],
        cam=one["cam"],
        intrinsics=cameras.scaled_intrinsics(one["K"], IMAGE_SIZE / TRACKER_SIZE),
        blendshapes=one["blendshape_scores"],
        landmarks=one["landmarks"],
        head_pose=one["head_pose"],
    )


def device(asked: str) -> str:
    """auto: the GPU where PyTorch can use one."""
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        what = "DEVICE=cuda needs a GPU that PyTorch can use, and there is none"
        raise StageError(what, next="Use DEVICE=cpu", exit=Exit.ENVIRONMENT)
    return "cuda" if there and asked != "cpu" else "cpu"


def _modules(stage: Stage) -> ModuleType:
    """The patched copy's tracker_video. Nothing is written beside it."""
    sys.dont_write_bytecode = True
    folder = str(upstream.folder(stage.upstream))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with _quiet():
        import tracker_video

    return tracker_video


@contextlib.contextmanager
def _landmarker_explained(path: Path) -> Iterator[None]:
    """MediaPipe says neither which file is wrong nor what to do; the readers of the others do (plain_files.py)."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as e:
        if "mediapipe" not in traceback.extract_tb(e.__traceback__)[-1].filename:
            raise
        what, again = "is no Face Landmarker with blendshapes", "Type: make assets GET=face_landmarker"
        raise StageError(what, path, again, Exit.MISSING_ASSET) from e


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Upstream's greetings are for its own users, and MediaPipe's for nobody."""
    with contextlib.redirect_stdout(io.StringIO()), detection.silence():
        yield
