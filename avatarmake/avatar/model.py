"""The avatar, evaluated without PyTorch: parameters of a frame -> Gaussians -> a picture. What all share who use it.

    avatar = Avatar.read(subject)
    picture = avatar.draw(Parameters.neutral(), rotation, translation, avatar.camera(512))

Its arrays are all that there is to it: head.Head poses the mesh, deformation.Deformation says what an expression does
to the Gaussians, binding.bind puts them on the mesh, rasteriser.rasterise draws them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake import head_model
from avatarmake.avatar import foreign, pixels
from avatarmake.avatar.binding import COLUMNS, bind
from avatarmake.avatar.correction import Corrections
from avatarmake.avatar.deformation import Deformation, raw_code
from avatarmake.avatar.head import Head, Parameters, head
from avatarmake.avatar.performance import Performance
from avatarmake.avatar.rasteriser import Camera, rasterise
from avatarmake.avatar.surface import Surface
from avatarmake.contract import layout
from avatarmake.contract.layout import Subject
from avatarmake.errors import StageError
from avatarmake.formats import torch_archive
from avatarmake.formats.descriptions import read_index
from avatarmake.formats.frame import read_frame
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model.body import Body, held, rigid
from avatarmake.head_model.model import NECK

WHITE = (1.0, 1.0, 1.0)
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Avatar:
    """N Gaussians on V vertices of a head; read-only, and the same for every frame."""

    name: str
    head_model: str
    head_model_digest: str
    head: Head
    surface: Surface  # its corners are the head's own vertices
    deformation: Deformation
    intrinsics: np.ndarray  # (3,3) of the video it was trained on, pixels of `image_size`
    image_size: tuple[int, int]  # w, h
    poses: dict[str, np.ndarray]  # what training learned of its cameras: own (F,6), shared (6,K), steps (F,)
    still: np.ndarray  # (L,3) landmarks that hardly deform, at rest
    seconds: float  # how long a motion of the head must last until the body goes along (head_model/body.py)

    @classmethod
    def read(cls, subject: Subject) -> "Avatar":
        """From avatar/ and refined/ of a subject. Raises StageError for what is missing, damaged or of another head."""
        refined = subject.directory("refined")
        index = read_index(refined / "index.json", subject.name)
        model = head_model.load(index["head_model"])
        again = f"make track ID={subject.name}"
        head_model.refuse_another(model, index["head_model_digest"], refined, subject.name, again)
        first = read_frame(layout.checkpoint_file(refined, 0))
        checkpoint = subject.directory("avatar") / "checkpoint.pt"
        surface, deformation, poses, seconds = read_checkpoint(checkpoint, subject.name)
        own, corners = head(model, first.shape, surface.corners)
        return cls(
            subject.name,
            model.name,
            model.digest,
            own,
            surface._replace(corners=corners),
            deformation,
            first.intrinsics.astype(np.float64),
            first.image_size,
            poses,
            rigid(model, first.shape),
            seconds,
        )

    def camera(self, size: int) -> Camera:
        """The video's own camera, for pictures of size x size."""
        k = cameras.scaled_intrinsics(self.intrinsics, size / self.image_size[0])
        return Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], size, size)

    def corrections(self, own: Performance) -> Corrections:
        """What a tracker's cameras are off by, as training found it; `own`: tracked.of_dataset of this avatar's."""
        return Corrections(self.poses, np.stack([self.code(own.parameters(i), own.R[i]) for i in range(len(own))]))

    def code(self, parameters: Parameters, rotation: np.ndarray) -> np.ndarray:
        """(K,) of one frame as it was tracked."""
        return self.deformation.code(raw_code(*parameters, view_of(rotation)).astype(np.float32))

    def body(self, p: Performance) -> Body:
        """Where the body is under the head, in each frame; `Body.of` takes one of them."""
        return held(self.head.joints[NECK], self.still, p.R, p.t, p.intrinsics, p.times, self.seconds)

    def gaussians(
        self, parameters: Parameters, view: np.ndarray | None = None, body: Body | None = None
    ) -> tuple[np.ndarray, ...]:
        """-> means (N,3), axes (N,3,3), opacities (N,), colours (N,3) in the world, as rasteriser.rasterise takes them.

        view (3,): how the head is turned to the light (`view_of`); straight into the camera unless given. body: of this
        one frame; it goes along with the head unless given.
        """
        view = np.zeros(3, np.float32) if view is None else view
        learned = self.deformation.learned(raw_code(*parameters, view).astype(np.float32))
        return bind(learned, self.head.vertices(parameters, body), self.surface)

    def draw(
        self,
        parameters: Parameters,
        rotation: np.ndarray,
        translation: np.ndarray,
        camera: Camera,
        background: tuple[float, float, float] | None = WHITE,
        view: np.ndarray | None = None,
        body: Body | None = None,
    ) -> np.ndarray:
        """World-to-camera rotation (3,3), translation (3,) -> (H,W,3) uint8 over a colour in 0..1.

        Without a background (H,W,4), the colour not multiplied by alpha. `view` follows from the rotation, as it did in
        training, unless it is given: a camera that goes round a head leaves the light where it is.
        """
        view = view_of(rotation) if view is None else view
        turn, shift = (np.ascontiguousarray(a, np.float32) for a in (rotation, translation))
        drawn = rasterise(*self.gaussians(parameters, view, body), turn, shift, camera, background or BLACK)
        return pixels.opaque(drawn.image) if background else pixels.transparent(drawn.image)


def view_of(rotation: np.ndarray) -> np.ndarray:
    """World-to-camera (...,3,3) -> (...,3) axis-angle: how the head is turned to the camera, zero where it looks
    straight into it."""
    return rotations.axis_angle_from_matrix(cameras.FLIP @ rotation).astype(np.float32)


def read_checkpoint(path: Path, subject: str) -> tuple[Surface, Deformation, dict, float]:
    """avatar/checkpoint.pt -> what it holds of an avatar: see the fields of Avatar. Raises StageError."""
    foreign.refuse(path.parent, subject)
    again = f"Run: make train ID={subject}"
    try:
        state = torch_archive.load(path)
        parts = state["surface"]
        surface = Surface(
            np.ascontiguousarray(parts["corners"], np.int32),
            np.ascontiguousarray(parts["weights"], np.float32),
            np.ascontiguousarray(parts["spacing"], np.float32),
        )
        deformation = Deformation.of(state["network"])
        poses = {key: np.asarray(state["poses"][key]) for key in ("own", "shared", "steps")}
        seconds = float(state["body"])
    except FileNotFoundError as e:
        raise StageError("is not there", path, again) from e
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise StageError(f"is no checkpoint of an avatar ({type(e).__name__}: {e})", path, again) from e
    n = len(surface.spacing)
    shapes = {"corners": (n, 3), "weights": (n, 3), "base": (n, COLUMNS)}
    there = {"corners": surface.corners.shape, "weights": surface.weights.shape, "base": deformation.base.shape}
    if wrong := [f"{k} is {there[k]}, expected {shapes[k]}" for k in shapes if there[k] != shapes[k]]:
        raise StageError("; ".join(wrong), path, again)
    return surface, deformation, poses, seconds
