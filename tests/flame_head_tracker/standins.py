"""Stand-ins for the licensed files that flame-head-tracker reads: right shapes and names, none of their content.

The head is our own open head in FLAME's format and sizes, so that a real face can be tracked with it; the networks'
weights are random. `make(folder)` writes all of them where assets.toml says.
"""

from pathlib import Path

import numpy as np
import torch

from avatarmake import assets, head_model
from tests import flame_model


def make(folder: Path, dlib: list[list[int]]) -> None:
    """`dlib`: which of MediaPipe's landmarks each of the 68 is (upstream's own table)."""
    place = lambda name: _place(folder / assets.manifest()[name].file)  # noqa: E731
    flame_model.write(place("flame2020"))
    np.save(place("flame_landmark_embedding"), embedding(dlib), allow_pickle=True)
    torch.manual_seed(0)
    torch.save({"E_flame": _small(resnet50(236)), "epoch": 1}, place("deca"))
    torch.save({"arcface": _small(iresnet100()), "flameModel": mica_map(), "epoch": np.float64(1)}, place("mica"))


def embedding(dlib: list[list[int]]) -> dict:
    """DECA's dict: the 68 landmarks, the 51 of them within the face, and the outline for 79 turns of the head."""
    head, flame = head_model.load("open"), flame_model.arrays()
    faces, skin = flame["f"][: flame_model.FACES], flame["v_template"][: flame_model.SKIN]
    points = head.landmarks(head.v_template[None])[0] + flame_model.ORIGIN
    at = np.linalg.norm(skin - points[:, None], axis=2).argmin(1)  # the vertex of each of MediaPipe's landmarks

    def corners(groups):  # the landmark is its first MediaPipe point's vertex
        index = np.array([np.flatnonzero((faces == at[g[0]]).any(1))[0] for g in groups])
        weights = (faces[index] == np.array([at[g[0]] for g in groups])[:, None]).astype(np.float64)
        return index, weights / weights.sum(1, keepdims=True)

    full, full_weights = corners(dlib)
    return {
        "static_lmk_faces_idx": full[17:].astype(np.uint32),
        "static_lmk_bary_coords": full_weights[17:],
        "dynamic_lmk_faces_idx": torch.from_numpy(np.tile(full[:17], (79, 1))),
        "dynamic_lmk_bary_coords": torch.from_numpy(np.tile(full_weights[:17], (79, 1, 1))),
        "full_lmk_faces_idx": full[None],
        "full_lmk_bary_coords": full_weights[None],
    }


def resnet50(outputs: int) -> dict[str, torch.Tensor]:
    """State of a ResNet-50 without its last layer, then two linear layers, by the names that DECA's encoder has."""
    state = _conv("encoder.conv1", 64, 3, 7) | _norm("encoder.bn1", 64)
    inputs = 64
    for layer, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), 1):
        for block in range(blocks):
            name = f"encoder.layer{layer}.{block}"
            for i, (out, into, side) in enumerate(((width, inputs, 1), (width, width, 3), (4 * width, width, 1)), 1):
                state |= _conv(f"{name}.conv{i}", out, into, side) | _norm(f"{name}.bn{i}", out)
            if block == 0:
                state |= _conv(f"{name}.downsample.0", 4 * width, inputs, 1) | _norm(f"{name}.downsample.1", 4 * width)
            inputs = 4 * width
    return state | _linear("layers.0", 1024, 2048) | _linear("layers.2", outputs, 1024, scale=1e-3)


def iresnet100() -> dict[str, torch.Tensor]:
    """State of ArcFace's IResNet-100."""
    state = _conv("conv1", 64, 3, 3) | _norm("bn1", 64) | {"prelu.weight": torch.full((64,), 0.25)}
    inputs = 64
    for layer, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 13, 30, 3), strict=True), 1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            state |= _norm(f"{name}.bn1", inputs) | _conv(f"{name}.conv1", width, inputs, 3)
            state |= _norm(f"{name}.bn2", width) | {f"{name}.prelu.weight": torch.full((width,), 0.25)}
            state |= _conv(f"{name}.conv2", width, width, 3) | _norm(f"{name}.bn3", width)
            if block == 0:
                state |= _conv(f"{name}.downsample.0", width, inputs, 1) | _norm(f"{name}.downsample.1", width)
            inputs = width
    return state | _norm("bn2", 512) | _linear("fc", 512, 512 * 49) | _norm("features", 512)


def mica_map() -> dict[str, torch.Tensor]:
    """State of MICA's generator: the map from the face's code to the shape, and its FLAME, which is not read."""
    state = {}
    for i, (out, into) in enumerate(((300, 512), (300, 300), (300, 300), (300, 300))):
        state |= _linear(f"regressor.network.{i}", out, into)
    state |= _linear("regressor.output", 300, 300, scale=1e-2)
    return state | {"generator.faces_tensor": torch.zeros(flame_model.FACES, 3, dtype=torch.long)}


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _small(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Half the bytes on disk; readers make float32 of them."""
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def _conv(name: str, out: int, into: int, side: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.randn(out, into, side, side) * (2 / (out * side * side)) ** 0.5}


def _norm(name: str, width: int) -> dict[str, torch.Tensor]:
    numbers = {"weight": torch.ones, "bias": torch.zeros, "running_mean": torch.zeros, "running_var": torch.ones}
    made = {f"{name}.{what}": kind(width) for what, kind in numbers.items()}
    return made | {f"{name}.num_batches_tracked": torch.tensor(1)}


def _linear(name: str, out: int, into: int, scale: float = 1.0) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": torch.randn(out, into) * scale / into**0.5, f"{name}.bias": torch.zeros(out)}
