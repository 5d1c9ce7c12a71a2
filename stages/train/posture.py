"""How long a motion of the head must last until the body goes along: as long as neck and shoulders look most alike.

For each candidate the body's vertices are looked up in pictures all over the training frames. Where a vertex is put
right it has one colour in all of them, but for the light. A body that hides below the picture's edge, or has one colour
all over, tells nothing; it then goes along with the head, as it does in a video whose shoulders were painted so.
"""

import numpy as np

from avatarmake.avatar.projection import f4
from avatarmake.contract import layout
from avatarmake.formats import images
from avatarmake.geometry import cameras
from avatarmake.head_model.body import root_weights
from stages.train.dataset import Dataset

SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, np.inf)
FRAMES, SIDE = 48, 128
BODY = 0.2  # of a vertex's weights, for it to be one of the body's
FACING = 0.3  # cosine to the camera, for it to be seen
SEEN = 0.5  # of the frames
FAR = 40.0  # grey levels: what is further off is covered by something, and counts no more than this
BETTER = 0.9  # of the difference under a body that goes along: less is no evidence


def seconds(dataset: Dataset, train: tuple[int, ...]) -> float:
    """One of SECONDS, by pictures of training frames only."""
    some = np.array([train[round(k)] for k in np.linspace(0, len(train) - 1, min(FRAMES, len(train)))])
    pictures = [_picture(dataset, i) for i in some]
    looks = [_look(dataset, candidate, some, pictures) for candidate in SECONDS]
    dataset.hold_body(0.0)
    seen = np.logical_and.reduce([visible.mean(0) > SEEN for _, visible in looks])
    if len(some) < 2 or not seen.any():
        return SECONDS[0]
    differences = [_difference(colours[:, seen], visible[:, seen]) for colours, visible in looks]
    best = int(np.argmin(differences))
    return SECONDS[best] if differences[best] < BETTER * differences[0] else SECONDS[0]


def words(seconds: float) -> str:
    if not seconds:
        return "shoulders turn with the head"
    return "shoulders stay where they are" if np.isinf(seconds) else f"shoulders follow the head within {seconds:g} s"


def _picture(dataset: Dataset, i: int) -> np.ndarray:
    """(SIDE,SIDE,3) float32."""
    return images.resize(images.read_rgb(layout.dataset_image(dataset.root, i + 1)), (SIDE, SIDE)).astype(np.float32)


def _look(dataset: Dataset, candidate: float, frames: np.ndarray, pictures: list) -> tuple[np.ndarray, np.ndarray]:
    """-> colours (F,B,3) of the body's vertices in the frames, and whether they are seen there (F,B)."""
    dataset.hold_body(candidate)
    weights = root_weights(dataset.model)
    below = np.flatnonzero(weights > BODY)
    rest = np.repeat(dataset.neutral()[None], len(frames), 0)
    posed = dataset.body.bend(rest, weights, frames)
    r, t = dataset.rotation[frames], dataset.translation[frames]
    k = cameras.scaled_intrinsics(dataset.intrinsics, SIDE / dataset.image_size[0])
    pixels = cameras.project(posed[:, below], r, t, k)
    view = posed[:, below] + (np.swapaxes(r, 1, 2) @ t[..., None])[:, None, :, 0]  # from the camera, in world axes
    facing = (_normals(posed, dataset.model.faces)[:, below] * view).sum(-1) < -FACING * np.linalg.norm(view, axis=-1)
    inside = ((pixels > 1) & (pixels < SIDE - 1)).all(-1)
    return np.stack([_bilinear(p, at) for p, at in zip(pictures, pixels, strict=True)]), facing & inside


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,V,3) unit normals."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    across, out = np.cross(b - a, c - a), np.zeros(vertices.shape, np.float32)
    for k in range(3):
        np.add.at(out, (slice(None), faces[:, k]), across)
    return out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), f4(1e-12))


def _bilinear(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(H,W,3) at pixels (B,2), centres at +0.5 -> (B,3); beyond the picture, its edge."""
    x, y = np.clip(at - 0.5, 0, SIDE - 1.001).T
    column, row = x.astype(int), y.astype(int)
    u, v = (x - column)[:, None], (y - row)[:, None]
    top = (1 - u) * picture[row, column] + u * picture[row, column + 1]
    bottom = (1 - u) * picture[row + 1, column] + u * picture[row + 1, column + 1]
    return (1 - v) * top + v * bottom


def _difference(colours: np.ndarray, visible: np.ndarray) -> float:
    """Mean distance, in grey levels, of the colours (F,B,3) from each vertex's own mean."""
    mean = (colours * visible[..., None]).sum(0) / np.maximum(visible.sum(0), 1)[:, None]
    off = np.minimum(np.sqrt(((colours - mean) ** 2).mean(-1)), FAR)
    return float((off * visible).sum() / visible.sum())
