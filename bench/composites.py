"""Videos whose true alpha and foreground are known: a portrait cut out, given strands of hair, moved over a ground.

The cut is label map > 0, its outline softened; colours are carried outwards from 4 px within it, so that nothing of the
portrait's own ground is left; strands, of a quarter of a pixel to a whole one, grow where hair has its outline. The
person moves by some 15 px; the ground is a wall or full of colours, and stands still or is panned.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from avatarmake.formats.images import LABEL, read_labels, read_rgb, resize, resize_labels

SIDE, FRAMES, FPS = 512, 24, 25
LARGE = 553  # the portrait's side: what it cuts off at its own edges stays outside the picture
NOISE = 2.0  # grey levels
SCENES = {"wall": ("wall", 0), "shelf": ("shelf", 0), "pan": ("shelf", 30)}  # name -> ground, pixels it is panned by


def film(folder: Path, name: str, scene: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """FRAMES of: image (512,512,3) uint8, true alpha (512,512) and alpha times foreground (512,512,3), float32."""
    colours, alpha = person(folder, name)
    kind, pan = SCENES[scene]
    behind, rng = ground(kind), np.random.default_rng(5)
    layers = np.dstack([colours * alpha[..., None], alpha])
    for t in np.arange(FRAMES) / FPS:
        x, y = -20 + 16 * np.sin(2 * np.pi * t / 1.7), -18 + 12 * np.sin(2 * np.pi * t / 2.3 + 1)
        moved = cv2.warpAffine(layers, np.float32([[1, 0, x], [0, 1, y]]), (SIDE, SIDE))
        at = round(64 + pan * np.sin(2 * np.pi * t / 1.1))
        image = moved[..., :3] + (1 - moved[..., 3:]) * behind[64 : 64 + SIDE, at : at + SIDE]
        image = image + rng.normal(0, NOISE, image.shape)
        yield np.clip(np.rint(image), 0, 255).astype(np.uint8), moved[..., 3], moved[..., :3]


def person(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """-> colours (LARGE,LARGE,3) that reach beyond the outline, alpha (LARGE,LARGE); float32."""
    image = resize(read_rgb(folder / f"{name}.jpg"), (LARGE, LARGE))
    labels = resize_labels(read_labels(folder / f"{name}_labels.png"), (LARGE, LARGE))
    cut = (labels > 0).astype(np.uint8)
    within = cv2.erode(cut, np.ones((9, 9)), borderValue=1)
    colours = cv2.inpaint(image, cv2.dilate(cut, np.ones((61, 61))) & ~within & 1, 3, cv2.INPAINT_TELEA)
    hair = strands(cut, cv2.dilate((labels == LABEL["hair"]).astype(np.uint8), np.ones((5, 5))) > 0)
    alpha = 1 - (1 - cv2.GaussianBlur(cut.astype(np.float32), (0, 0), 1.3)) * (1 - hair)
    return colours.astype(np.float32), alpha.astype(np.float32)


def strands(cut: np.ndarray, hair: np.ndarray) -> np.ndarray:
    """(H,H) uint8 0 or 1, bool -> (H,H) float32: how much of a pixel single hairs cover."""
    rng, side = np.random.default_rng(0), len(cut)
    slope = np.gradient(cv2.GaussianBlur(cut.astype(np.float32), (0, 0), 6))
    outlines, _ = cv2.findContours(cut, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = np.zeros((4 * side, 4 * side), np.uint8)
    for x, y in max(outlines, key=len)[::3, 0]:
        if not hair[y, x] or min(x, y) < 4 or max(x, y) > side - 5:
            continue
        turn = np.arctan2(-slope[0][y, x], -slope[1][y, x]) + rng.normal(0, 0.7)
        turns = turn + rng.normal(0, 0.06) * np.arange(int(rng.gamma(2, 4)) + 4)
        steps = np.stack([np.cos(turns), np.sin(turns)], 1)
        line = np.array([x, y]) - 3 * steps[0] + np.cumsum(steps, 0)
        width = int(rng.integers(1, 4))
        cv2.polylines(large, [np.round(4 * line).astype(np.int32)], False, 255, width, cv2.LINE_AA)
    thin = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(thin, (0, 0), 0.5)


def ground(kind: str) -> np.ndarray:
    """(640,640,3) float32: a wall lit from one side, or shelves of books out of focus."""
    side, rng = SIDE + 128, np.random.default_rng(1)
    if kind == "wall":
        y, x = (np.mgrid[:side, :side] + 0.5) / side
        return np.stack([190 + 20 * y, 200 + 10 * x, 210 - 20 * y], -1).astype(np.float32)
    books = np.zeros((side, side, 3), np.float32)
    for top in range(0, side, 86):
        x = 0
        while x < side:
            width = int(rng.integers(8, 30))
            books[top : top + 80, x : x + width] = rng.uniform(30, 230, 3)
            x += width
        books[top + 80 : top + 86] = (90, 60, 40)
    return cv2.GaussianBlur(books, (0, 0), 2)
