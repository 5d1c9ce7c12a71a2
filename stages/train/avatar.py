"""The avatar: a surface, what was learned on it, and how it is drawn. What a checkpoint holds and what draws need."""

import numpy as np
import torch

from avatarmake.avatar.rasteriser import Camera
from avatarmake.avatar.surface import Surface, sample
from stages.train.backend import Backend
from stages.train.network import Code, Deformation

WHITE = (1.0, 1.0, 1.0)  # FlashAvatar's ground
POSES = 32  # frames that say which part of the head is ever seen


class Avatar:
    """`expression codes` are rows of Code.raw; meshes come from the head model, posed by the same parameters, over a
    body that was held for `seconds` (avatarmake/head_model/body.py)."""

    def __init__(self, surface: Surface, network: Deformation, backend: Backend, seconds: float = 0.0):
        self.surface, self.backend, self.seconds = surface, backend, seconds
        self.network = network.to(backend.device)

    def render(
        self,
        raw: np.ndarray,
        vertices: np.ndarray,
        rotation: torch.Tensor,
        translation: torch.Tensor,
        camera: Camera,
        ground: tuple[float, float, float] = WHITE,
        shift: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """raw code (114,), mesh (V,3), world-to-camera -> image (4,H,W) over `ground`, differentiable. `shift` (K,) is
        added to the network's code."""
        return self.backend.rasterise(*self.bound(raw, vertices, shift), rotation, translation, camera, ground)

    def bound(self, raw: np.ndarray, vertices: np.ndarray, shift: torch.Tensor | None = None) -> tuple:
        """The same up to the Gaussians themselves, which any camera may look at: means, axes, opacities, colours."""
        return self.backend.bind(self._learned(raw, shift), vertices, self.surface)

    def gaussians(self, raw: np.ndarray, vertices: np.ndarray) -> list[np.ndarray]:
        """-> means (N,3), axes (N,3,3), opacities (N,), colours (N,3) in the world, for one expression."""
        with torch.no_grad():
            return [x.cpu().numpy() for x in self.bound(raw, vertices)]

    def _learned(self, raw: np.ndarray, shift: torch.Tensor | None = None) -> torch.Tensor:
        return self.network(torch.from_numpy(raw).to(self.backend.device), shift)

    def state(self) -> dict:
        """Tensors only, so that `torch.load(..., weights_only=True)` reads it."""
        surface = {k: torch.from_numpy(v) for k, v in self.surface._asdict().items()}
        network = {k: v.cpu() for k, v in self.network.state_dict().items()}
        return {"surface": surface, "network": network, "body": torch.tensor(self.seconds, dtype=torch.float64)}

    @classmethod
    def restored(cls, state: dict, backend: Backend) -> "Avatar":
        surface = Surface(**{k: v.numpy() for k, v in state["surface"].items()})
        network = Deformation(len(surface.spacing), len(state["network"]["code.mean"]))
        network.load_state_dict(state["network"])
        return cls(surface, network, backend, state["body"].item())


def codes(dataset) -> np.ndarray:
    """(F,114) raw codes of a dataset's frames."""
    d = dataset
    return Code.raw(d.expression, d.jaw_pose, d.eye_pose, d.eyelids, d.view).astype(np.float32)


def fresh(dataset, train: tuple[int, ...], gaussians: int, seed: int, backend: Backend, seconds: float = 0.0) -> Avatar:
    """An avatar that has learned nothing yet: Gaussians where the training frames show the head, all grey."""
    some = [train[round(k)] for k in np.linspace(0, len(train) - 1, min(POSES, len(train)))]
    meshes = np.stack([dataset.vertices(i) for i in some])
    surface = sample(dataset.model, meshes, dataset.rotation[some], dataset.translation[some], gaussians)
    torch.manual_seed(seed)
    network = Deformation(gaussians, codes(dataset).shape[1])
    network.code.fit(codes(dataset)[list(train)])
    return Avatar(surface, network, backend, seconds)
