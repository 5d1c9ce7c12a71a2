"""What training reads: dataset/ (images), refined/ (parameters, cameras) and masks/, composited as FlashAvatar does.

Pictures stay uint8 and are read when first asked for; what fits KEEP bytes stays in memory, so that a long video costs
time and not memory.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.avatar.rasteriser import Camera
from avatarmake.contract import layout
from avatarmake.errors import StageError
from avatarmake.formats import images
from avatarmake.formats.descriptions import read_index
from avatarmake.formats.frame import read_frame
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.body import body, root_weights
from avatarmake.head_model.model import HeadModel
from stages.train.compositing import composite

KEEP = 1.5e9  # bytes of pictures, and half as much of meshes
PARTS = ("image", "alpha", "neckhead", "mouth")


@dataclass(frozen=True, eq=False)
class Picture:
    """What one frame is compared with, all uint8.

    `pixels` (3,H,W) over white; `cover` (H,W), 255 where nothing of the ground is seen; `labels` (H,W), bits MOUTH and
    HEAD.
    """

    pixels: np.ndarray
    cover: np.ndarray
    labels: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes + self.cover.nbytes + self.labels.nbytes

    def over_black(self) -> np.ndarray:
        """(3,H,W) uint8."""
        return np.maximum(self.pixels.astype(np.int16) - (255 - self.cover.astype(np.int16)), 0).astype(np.uint8)


class Dataset:
    """F frames, counted from 0; `numbers[i]` is what image i is called in dataset/imgs and masks/ (1-based)."""

    def __init__(self, dataset: Path, masks: Path, subject: str = "", refined: Path | None = None):
        """Without `refined` cameras are those that dataset/ has itself."""
        self.root, self.masks, self.subject = dataset, masks, subject
        self.index = self._read_index()
        self.model = self._model()
        count = len(self.index["images"])
        if not count:
            raise StageError("holds no frame", dataset, f"Run: make track ID={subject}")
        self.numbers = list(range(1, count + 1))
        self.weights = self._read_weights(count)
        records = [read_frame(layout.checkpoint_file(refined or dataset, i)) for i in range(count)]
        first = records[0]
        self.shape, self.image_size = first.shape, first.image_size
        self.intrinsics = first.intrinsics.astype(np.float64)
        self.expression = np.stack([r.expression for r in records])
        self.jaw_pose = self._axis_angle(np.stack([r.jaw_rot6d for r in records]))
        self.eye_pose = self._axis_angle(np.stack([r.eyes_rot6d for r in records]))
        self.eyelids = np.stack([r.eyelids for r in records])
        self.rotation = np.stack([r.R for r in records])
        self.translation = np.stack([r.t for r in records])
        # (F,3) axis-angle: how the head is turned to the camera, zero where it looks straight into it
        self.view = rotations.axis_angle_from_matrix(cameras.FLIP @ self.rotation).astype(np.float32)
        self.hold_body(0.0)
        self._kept: dict = {}
        self._room = {"pictures": KEEP, "meshes": KEEP / 2}

    def __len__(self) -> int:
        return len(self.numbers)

    def _read_index(self) -> dict:
        return read_index(self.root / "index.json", self.subject)

    def _read_weights(self, count: int) -> np.ndarray:
        """(F,) how often each frame is shown, relative to one that nobody doubts: 0 to 1."""
        weights = np.asarray(self.index.get("weights", np.ones(count)), np.float64)
        if weights.shape != (count,) or not ((weights >= 0) & (weights <= 1)).all():
            what = f"has {weights.size} weights, expected {count} between 0 and 1"
            raise StageError(what, self.root / "index.json", f"Run: make convert ID={self.subject}")
        return weights

    def check(self, resolution: int) -> None:
        """Images are square and a whole multiple of the resolution they are reduced to. Raises StageError."""
        w, h = self.image_size
        if w != h or w % resolution:
            raise StageError(
                f"its images are {w} x {h}, and {resolution} x {resolution} is asked for",
                self.root,
                f"Run: make frames ID={self.subject}",
            )

    def _model(self) -> HeadModel:
        model = head_model.load(self.index["head_model"])
        solved_for = self.index.get("head_model_digest", model.digest)
        head_model.refuse_another(model, solved_for, self.root, self.subject, f"make track ID={self.subject}")
        return model

    @staticmethod
    def _axis_angle(rot6d: np.ndarray) -> np.ndarray:
        """(F, 6k) -> (F, 3k)."""
        matrices = rotations.matrix_from_rot6d(rot6d.reshape(len(rot6d), -1, 6).astype(np.float64))
        return rotations.axis_angle_from_matrix(matrices).reshape(len(rot6d), -1).astype(np.float32)

    @cached_property
    def identity(self) -> np.ndarray:
        return self.model.identity(self.shape)

    def hold_body(self, seconds: float) -> None:
        """The body under the head, of whose motion it follows what lasts so long; before any mesh is asked for."""
        camera = (self.rotation, self.translation, self.intrinsics)
        self.body = body(self.model, self.shape, *camera, np.asarray(self.index["times"], np.float64), seconds)

    def vertices(self, i: int) -> np.ndarray:
        """(V,3) float32: the tracked mesh of frame i."""
        return self._keep(("mesh", i), "meshes", lambda: self.pose(slice(i, i + 1))[0])

    def pose(self, which: slice) -> np.ndarray:
        """(F,V,3) float32: the meshes of those frames, not kept."""
        parts = (self.expression, self.jaw_pose, self.eye_pose, self.eyelids)
        posed = self.model.vertices(self.shape, *(p[which] for p in parts), identity=self.identity)
        return np.ascontiguousarray(self.body.bend(posed, root_weights(self.model), which), np.float32)

    def neutral(self) -> np.ndarray:
        """(V,3): this person's head without expression."""
        return np.ascontiguousarray(self.identity, np.float32)

    def camera(self, resolution: int) -> Camera:
        """Intrinsics at `resolution`; one camera for the whole video, as in FlashAvatar."""
        k = cameras.scaled_intrinsics(self.intrinsics, resolution / self.image_size[0])
        return Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], resolution, resolution)

    def picture(self, i: int, resolution: int) -> Picture:
        return self._keep((resolution, i), "pictures", lambda: self.read_picture(i, resolution))

    def forget_pictures(self, resolution: int) -> None:
        """Make room, once training has left a resolution for good."""
        for key in [k for k in self._kept if k[0] == resolution]:
            self._room["pictures"] += self._kept.pop(key).nbytes

    def keep_no_more(self) -> None:
        """What is kept stays; whatever is not is read anew each time, for those who look at every frame once."""
        self._room = dict.fromkeys(self._room, 0.0)

    def _keep(self, key: tuple, what: str, make):
        if key not in self._kept:
            value = make()
            if value.nbytes > self._room[what]:
                return value
            self._room[what] -= value.nbytes
            self._kept[key] = value
        return self._kept[key]

    def read_picture(self, i: int, resolution: int) -> Picture:
        """The picture of frame i, decoded anew and not kept."""
        n = self.numbers[i]
        image = images.read_rgb(layout.dataset_image(self.root, n))
        alpha = images.read_mask(layout.alpha_mask(self.masks, n))
        neckhead = images.read_mask(layout.parsing_mask(self.masks, n, "neckhead"))
        mouth = images.read_mask(layout.parsing_mask(self.masks, n, "mouth"))
        w, h = self.image_size
        for part, name in zip((image, alpha, neckhead, mouth), PARTS, strict=True):
            if part.shape[:2] != (h, w):
                raise StageError(
                    f"{name} {n:05d} is {part.shape[1]} x {part.shape[0]}, expected {w} x {h}",
                    self.masks if name != "image" else self.root,
                    f"Run: make mask ID={self.subject} FIX=1",
                )
        return Picture(*composite(image, alpha, neckhead, mouth, resolution))
