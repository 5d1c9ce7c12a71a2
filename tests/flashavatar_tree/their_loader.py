"""Runs in a process of its own: FlashAvatar's loader, from a (patched) checkout, on a tree; what it read, as an .npz.

    python their_loader.py CHECKOUT ID POINTS.npy OUT.npz      in the folder where the tree is, as its train.py runs

POINTS (N,V,3): world points of each frame, which its own functions project with its own cameras.
"""

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import torch

# Imported at the top of its modules, and not used by its loader: CUDA extensions, and what only its model needs
NOT_USED = ("pytorch3d", "simple_knn", "plyfile")
KEPT = 17  # of so many frames one keeps its pictures: FlashAvatar's cameras take 5 MB each


class NotUsed(types.ModuleType):
    """Has every name; using one is an error."""

    __path__: list = []

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)

        def used(*_, **__):
            raise AssertionError(f"{self.__name__}.{name} is used, and was taken to be only imported")

        return used


class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name.split(".")[0] in NOT_USED else None

    def create_module(self, spec):
        return NotUsed(spec.name)

    def exec_module(self, module):
        pass


def main(checkout: str, name: str, points: str, out: str) -> None:
    sys.path.insert(0, checkout)
    sys.meta_path.append(Finder())  # the last to be asked: what is installed is used
    if importlib.util.find_spec("tqdm") is None:
        sys.modules["tqdm"] = types.ModuleType("tqdm")
        sys.modules["tqdm"].tqdm = lambda items: items
    import scene
    from utils.graphics_utils import geom_transform_points

    assert Path(scene.__file__).is_relative_to(checkout), scene.__file__

    class Lean(scene.Camera):
        """Their Camera, which lets go of most pictures once it has them on its device."""

        def __init__(self, **given):
            super().__init__(**given)
            if self.uid % KEPT:
                self.original_image = self.head_mask = self.mouth_mask = None

    scene.Camera = Lean
    world = torch.from_numpy(np.load(points))
    found = {}
    for kind, number in {"train": 0, "test": 1, "eval": 2}.items():
        arguments = (Path("dataset", name), Path("metrical-tracker/output", name), number)
        read = scene.Scene_mica(*map(str, arguments[:2]), number, white_background=True, device="cpu")
        cameras = read.getCameras()
        found |= {f"{kind}.{key}": value for key, value in seen(cameras).items()}
        found[f"{kind}.shape"], found[f"{kind}.frames"] = read.shape_param.numpy(), read.N_frames
        pixels = [geom_transform_points(world[c.uid], c.full_proj_transform)[:, :2] for c in cameras]
        found[f"{kind}.ndc"] = torch.stack(pixels).numpy()
    green = scene.Scene_mica(*map(str, arguments[:2]), 0, white_background=False, device="cpu").getCameras()[0]
    np.savez(out, **found, green=green.original_image.numpy())


def seen(cameras: list) -> dict[str, np.ndarray]:
    """What their training takes of their cameras, stacked."""
    tensors = ("world_view_transform", "projection_matrix", "full_proj_transform", "camera_center")
    parameters = ("exp_param", "eyes_pose", "eyelids", "jaw_pose")
    result = {key: torch.stack([getattr(c, key) for c in cameras]).numpy() for key in tensors + parameters}
    for key in ("uid", "FoVx", "FoVy", "image_width", "image_height"):
        result[key] = np.array([getattr(c, key) for c in cameras])
    kept = [c for c in cameras if c.original_image is not None]
    result["kept"] = np.array([c.uid for c in kept], int)
    for key in ("original_image", "head_mask", "mouth_mask") if kept else ():
        result[key] = torch.stack([getattr(c, key) for c in kept]).numpy()
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
