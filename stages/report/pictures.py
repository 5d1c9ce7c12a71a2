"""The report's pictures: what the tracker saw, where the masks are, and where the avatar is worst."""

import base64
import io

import numpy as np

from avatarmake.contract import layout
from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.formats import images
from avatarmake.geometry import cameras
from stages.report.subject import Finished

MESH, POINT = (94, 234, 212), (251, 146, 60)  # the model is teal, what was detected is orange, as in the text
HEAD, MOUTH = (56, 189, 248), (244, 63, 94)
CLOSE = 440  # side in pixels of a picture of the face
ERROR_GAIN = 4  # errors are small: shown four times as strong


def data_uri(image: np.ndarray, quality: int = 86) -> str:
    """(H,W,3) uint8 -> a JPEG inside a data: address."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def faces(done: Finished) -> list[dict]:
    """The faces that were found, where there was more than one: crop.json's records, and their pictures as `uri`."""
    found = enumerate(done.crop.get("faces", []), 1)
    return [{**face, "uri": data_uri(images.read_rgb(layout.person_image(done.frames, n)))} for n, face in found]


def small(done: Finished, index: int, side: int = 256) -> np.ndarray:
    """Picture `index` of frames/, counted from 0. (side, side, 3)"""
    return images.resize(images.read_rgb(layout.frame_image(done.frames, index + 1)), (side, side))


def tracking(done: Finished, number: int) -> np.ndarray:
    """The face with the head model's visible edges over it and the detected landmarks as points. (CLOSE, CLOSE, 3)"""
    from PIL import Image, ImageDraw

    t = done.tracked(number)
    r, translation = cameras.extrinsics_from_cam(t.cam)
    eyelids = t.eyelid_closure
    points = done.head.vertices(t.shape, t.expression[None], t.jaw_pose[None], t.eye_pose[None], eyelids[None])[0]
    seen = cameras.project(points, r, translation, t.intrinsics)
    on_face = cameras.project(done.head.landmarks(points[None])[0], r, translation, t.intrinsics)
    x, y, side = _square(on_face, room=1.7)
    scale = 2 * CLOSE / side  # drawn at twice the size and shrunk: smooth lines
    close = images.resize(images.crop(done.image(number), x, y, side, side), (2 * CLOSE, 2 * CLOSE))
    canvas = Image.fromarray(close)
    draw = ImageDraw.Draw(canvas, "RGBA")
    for a, b in (seen - (x, y))[_visible_edges(seen, done.head.faces)] * scale:
        draw.line([tuple(a), tuple(b)], fill=(*MESH, 110), width=2)
    for u, v in [] if t.landmarks is None else (t.landmarks - (x, y)) * scale:
        draw.ellipse([u - 3, v - 3, u + 3, v + 3], fill=(*POINT, 235))
    return np.asarray(canvas.resize((CLOSE, CLOSE), Image.Resampling.LANCZOS))


def _square(points: np.ndarray, room: float) -> tuple[int, int, int]:
    """Points (N,2) in pixels -> x, y, side of a square around them, `room` times as large; it may reach outside."""
    low, high = points.min(0), points.max(0)
    side = room * (high - low).max()
    x, y = (low + high - side) / 2
    return int(round(x)), int(round(y)), max(int(round(side)), 8)


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
    """Recorded | avatar | difference, (side, 3 side, 3), close to what is not white."""
    rendered = done.rendered(number)
    truth = done.truth(number, rendered.shape[0])
    parts = [truth, rendered, heat(np.abs(truth.astype(np.int16) - rendered).mean(-1) * ERROR_GAIN)]
    rows, columns = np.nonzero((truth < 250).any(-1))
    shown = np.stack([columns, rows], 1) if len(rows) else np.array([[0, 0], [rendered.shape[1], rendered.shape[0]]])
    x, y, size = _square(shown, room=1.06)
    return np.concatenate([images.resize(images.crop(p, x, y, size, size), (side, side)) for p in parts], 1)


def heat(error: np.ndarray) -> np.ndarray:
    """(H,W) 0..255 -> black, violet, orange, pale yellow: bright is wrong."""
    stops = np.array([[0, 0, 0], [66, 10, 104], [188, 55, 84], [249, 142, 9], [252, 255, 200]], np.float64)
    at = np.clip(error, 0, 255) / 255 * (len(stops) - 1)
    return np.stack([np.interp(at, range(len(stops)), stops[:, c]) for c in range(3)], -1).round().astype(np.uint8)


def side_by_side(done: Finished, number: int) -> np.ndarray:
    """Recorded | avatar, as a frame of the video. (512, 1024, 3)"""
    rendered = done.rendered(number)
    halves = (done.truth(number, rendered.shape[0]), rendered)
    return np.concatenate([images.resize(p, (IMAGE_SIZE, IMAGE_SIZE)) for p in halves], 1)


def previews(done: Finished, count: int = 5) -> list[tuple[int, np.ndarray]]:
    """(step, picture) of some of the pictures that training left of itself, the first and the last among them."""
    found = sorted((int(p.stem), p) for p in (done.avatar / "previews").glob("*.jpg") if p.stem.isdecimal())
    if len(found) > count:
        found = [found[int(i)] for i in np.linspace(0, len(found) - 1, count).round()]
    return [(step, images.read_rgb(path)) for step, path in found]
