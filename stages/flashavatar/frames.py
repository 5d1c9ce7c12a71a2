"""Frames as FlashAvatar takes them: a camera of its own with the pictures that it compares with, made when it is shown.

FlashAvatar keeps every frame on its device as float32, 5 MB each; here a frame's four files stay as uint8 where there
is room, and are read anew where there is none.
"""

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from avatarmake.contract import layout
from avatarmake.formats import images
from avatarmake.geometry import rotations
from stages.flashavatar.upstream import FlashAvatar
from stages.train.dataset import Dataset, Picture
from stages.train.losses import HEAD, MOUTH

KEEP = 1.5e9  # bytes of pictures


class Frames:
    def __init__(self, flash: FlashAvatar, dataset: Dataset, ground: tuple[float, float, float], device: torch.device):
        self._flash, self._dataset, self._device = flash, dataset, device
        self._ground = torch.tensor(ground, device=device)[:, None, None]
        self._kept: dict[int, np.ndarray] = {}
        self._room = KEEP

    def shape(self) -> torch.Tensor:
        """(1,300)"""
        return self._row(self._dataset.shape)

    def codes(self, i: int) -> dict[str, torch.Tensor]:
        """What moves the head, by upstream's names, each with a leading axis of 1; rotations are 6D by rows."""
        d = self._dataset
        return {
            "expr": self._row(d.expression[i]),
            "eyes_pose": self._row(rot6d(d.eye_pose[i])),
            "eyelids": self._row(d.eyelids[i]),
            "jaw_pose": self._row(rot6d(d.jaw_pose[i])),
        }

    def still(self) -> dict[str, torch.Tensor]:
        """The same of a head without expression."""
        zeros = {"expr": np.zeros(100), "eyes_pose": rot6d(np.zeros(6)), "eyelids": np.zeros(2)}
        return {name: self._row(value) for name, value in (zeros | {"jaw_pose": rot6d(np.zeros(3))}).items()}

    def camera(self, i: int, side: int, compared: bool = True):
        """Upstream's Camera of frame i, for pictures of side x side; without `compared` its pictures are empty."""
        d = self._dataset
        planes = [torch.zeros(n, side, side) for n in (3, 1, 1)]
        if compared:
            planes = self._compared(i, side, self._ground)
        width, height = d.image_size
        codes = self.codes(i)
        return self._flash.Camera(
            colmap_id=i,
            uid=i,
            image_name=f"{i:05d}",
            R=d.rotation[i].T,
            T=d.translation[i],
            FoVx=self._flash.focal2fov(d.intrinsics[0, 0], width),
            FoVy=self._flash.focal2fov(d.intrinsics[1, 1], height),
            image=planes[0],
            head_mask=planes[1],
            mouth_mask=planes[2],
            exp_param=codes["expr"],
            eyes_pose=codes["eyes_pose"],
            eyelids=codes["eyelids"],
            jaw_pose=codes["jaw_pose"],
            data_device=self._device,
        )

    def picture(self, i: int, side: int) -> Picture:
        """What frame i is judged by: over white as it was trained on, ground in its soft edges and all.

        `Dataset.picture` has the person's own colours there, which this avatar was never shown.
        """
        image, head, mouth, cover = (x.cpu().numpy() for x in self._compared(i, side, ground=1.0))
        pixels, cover = (np.rint(255 * x).astype(np.uint8) for x in (image, cover[0]))
        return Picture(pixels, cover, (MOUTH * (mouth[0] > 0.5) + HEAD * (cover > 127)).astype(np.uint8))

    def _compared(self, i: int, side: int, ground: torch.Tensor | float) -> list[torch.Tensor]:
        """Picture (3,S,S) over the ground, head, mouth, cover (1,S,S), in 0..1: composited twice, as upstream does.

        Below the files' own size each is the mean over blocks of pixels.
        """
        planes = torch.from_numpy(self._planes(i)).to(self._device) / 255.0
        image, alpha, head, mouth = planes[:3], planes[3:4], planes[4:5], planes[5:]
        image = image * alpha + ground * (1 - alpha)
        image = image * head + ground * (1 - head)
        block = planes.shape[1] // side
        parts = image, head, mouth, alpha * head
        return [avg_pool2d(part, block) if block > 1 else part for part in parts]

    def _planes(self, i: int) -> np.ndarray:
        """(6,H,W) uint8: image, alpha, neckhead, mouth."""
        if i in self._kept:
            return self._kept[i]
        d, number = self._dataset, self._dataset.numbers[i]
        masks = [layout.alpha_mask(d.masks, number)]
        masks += [layout.parsing_mask(d.masks, number, part) for part in ("neckhead", "mouth")]
        image = images.read_rgb(layout.dataset_image(d.root, number))
        planes = np.concatenate([image.transpose(2, 0, 1), [images.read_mask(path) for path in masks]])
        if planes.nbytes <= self._room:
            self._room -= planes.nbytes
            self._kept[i] = planes
        return planes

    def _row(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)[None]).to(self._device)


def rot6d(pose: np.ndarray) -> np.ndarray:
    """(3k,) axis-angle -> (6k,) the first two rows of each matrix."""
    matrices = rotations.matrix_from_axis_angle(pose.astype(np.float64).reshape(-1, 3))
    return matrices[:, :2].reshape(-1)
