"""The report's pictures: what the tracker saw, where the masks are, and where the avatar is worst."""

import base64
import io

import numpy as np

from stages import cameras, images
from stages.report.subject import Finished

MESH, POINT = (94, 234, 212), (251, 146, 60)  # the model is teal, what was detected is orange, as in the text
HEAD, MOUTH = (56, 189, 248), (244, 63, 94)
ERROR_GAIN = 4  # errors are small: shown four times as strong


def data_uri(image: np.ndarray, quality: int = 86) -> str:
    """(H,W,3) uint8 -> a JPEG inside a data: address."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def tracking(done: Finished, number: int) -> np.ndarray:
    """The frame with the head model's visible edges over it and the detected landmarks as points. (512,512,3)"""
    from PIL import Image, ImageDraw

    t = done.tracked(number)
    r, translation = cameras.extrinsics_from_cam(t.cam)
    eyelids = t.eyelid_closure
    points = done.head.vertices(t.shape, t.expression[None], t.jaw_pose[None], t.eye_pose[None], eyelids[None])[0]
    seen = cameras.project(points, r, translation, t.intrinsics)
    scale = 2  # drawn at twice the size and shrunk: smooth lines
    image = Image.fromarray(done.image(number)).convert("RGB")
    canvas = image.resize((scale * image.width, scale * image.height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(canvas, "RGBA")
    for a, b in _visible_edges(seen, done.head.faces):
        draw.line([tuple(seen[a] * scale), tuple(seen[b] * scale)], fill=(*MESH, 85), width=1)
    for x, y in scale * (t.landmarks if t.landmarks is not None else np.zeros((0, 2))):
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(*POINT, 230))
    return np.asarray(canvas.resize(image.size, Image.Resampling.LANCZOS))


def _visible_edges(seen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,2) pixels, (F,3) -> (E,2): edges of the faces that are turned to the camera, each once."""
    a, b, c = (seen[faces[:, i]] for i in range(3))
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    facing = faces[ux * vy - uy * vx < 0]  # counter-clockwise in space, and y points down here
    edges = np.concatenate([facing[:, [0, 1]], facing[:, [1, 2]], facing[:, [2, 0]]])
    return np.unique(np.sort(edges, 1), axis=0)


def masks(done: Finished, number: int) -> np.ndarray:
    """The frame as training sees it: faded where it is ignored, head and neck blue, the mouth red."""
    image, alpha = done.image(number), done.mask(number, "alpha")
    head, mouth = done.mask(number, "neckhead"), done.mask(number, "mouth")
    kept = (alpha.astype(np.uint16) * head // 255).astype(np.uint8)
    faded = images.tint(image, 255 - kept, (255, 255, 255), 0.72)
    outline = _outline(kept > 127)
    shown = images.tint(faded, np.where(outline, 255, 0).astype(np.uint8), HEAD, 1.0)
    return images.tint(shown, mouth, MOUTH, 0.45)


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of the mask within two pixels of its border."""
    inner = mask.copy()
    for _ in range(2):
        inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    return mask & ~inner


def comparison(done: Finished, number: int, side: int) -> np.ndarray:
    """Recorded | avatar | difference, (side, 3 side, 3)."""
    rendered = done.rendered(number)
    truth = done.truth(number, rendered.shape[0])
    parts = [truth, rendered, heat(np.abs(truth.astype(np.int16) - rendered).mean(-1) * ERROR_GAIN)]
    return np.concatenate([images.resize(p, (side, side)) for p in parts], 1)


def heat(error: np.ndarray) -> np.ndarray:
    """(H,W) 0..255 -> black, violet, orange, pale yellow: bright is wrong."""
    stops = np.array([[0, 0, 0], [66, 10, 104], [188, 55, 84], [249, 142, 9], [252, 255, 200]], np.float64)
    at = np.clip(error, 0, 255) / 255 * (len(stops) - 1)
    return np.stack([np.interp(at, range(len(stops)), stops[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def previews(done: Finished, count: int = 5) -> list[tuple[int, np.ndarray]]:
    """(step, picture) of some of the pictures that training left of itself, the first and the last among them."""
    found = sorted((int(p.stem), p) for p in (done.avatar / "previews").glob("*.jpg") if p.stem.isdecimal())
    if len(found) > count:
        found = [found[int(i)] for i in np.linspace(0, len(found) - 1, count).round()]
    return [(step, images.read_rgb(path)) for step, path in found]
