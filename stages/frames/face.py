"""The faces of one frame, and where the head is over a whole video: one square around it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avatarmake.detection import FaceDetector, FaceMesh
from avatarmake.formats.images import crop, resize

CONTEXT = 2.0  # side of the image in which the mesh is looked for, in sides of the detector's box
MESH_PIXELS = (192, 512)  # that image's side in pixels is brought into this range
NEEDED = 0.35  # face heights around the face without which hair or chin is lost
ALREADY_A_CROP = 0.85  # a box that would take this much of the frame's short side takes all of it
EYES, MOUTH = (33, 263), (13, 14)  # outer corners; inner lips. MediaPipe's numbers
SHADES = 12  # of red and of green in a face's colours
PORTRAIT = 160  # side in pixels of a face's small picture

Box = tuple[int, int, int]  # x, y, side in pixels of the frame


@dataclass(frozen=True, eq=False)
class Face:
    """A face in one frame. `rectangle`: x0, y0, x1, y1 of the mesh, hairline to chin, in pixels of the frame."""

    rectangle: np.ndarray
    upright: bool  # the mouth below the eyes, within 45 degrees
    colours: np.ndarray  # (SHADES^2,) square root of its histogram of red and green among all colours, brightness apart
    dress: np.ndarray  # the same of what is below the chin, brightness with it; zeros where that is outside the frame
    portrait: np.ndarray  # (PORTRAIT,PORTRAIT,3) uint8: the face and what is around it


class FaceFinder:
    """The detector for faces far and near, and the mesh that looks at each closely. A context manager."""

    def __init__(self):
        self._detector, self._mesh = FaceDetector(far=True), FaceMesh(static=True)

    def __enter__(self) -> "FaceFinder":
        return self

    def __exit__(self, *_) -> None:
        self._detector.close()
        self._mesh.close()

    def faces(self, image: np.ndarray, last: np.ndarray | None) -> list[Face]:
        """The faces in one frame, by mesh; closer looks where the whole frame shows none.

        `last`: the rectangle that the main face was last seen in.
        """
        found: list[Face] = []
        for x, y, side in _windows(image, last):
            window = crop(image, x, y, *side)
            for box in self._detector.detect(window)[:4, :4]:
                face = self._closely(image, box + (x, y, x, y))
                if face is not None and not any(_covers(f.rectangle, face.rectangle) for f in found):
                    found.append(face)
            if found and (x, y) == (0, 0) and side == image.shape[1::-1]:
                break  # the whole frame showed some
            if found and last is not None:
                break
        return found

    def _closely(self, image: np.ndarray, box: np.ndarray) -> Face | None:
        """Look at a detector's box by mesh: the face, or None where there is none."""
        side = max(int(CONTEXT * max(box[2] - box[0], box[3] - box[1])), 8)
        x, y = np.round((box[:2] + box[2:] - side) / 2).astype(int)
        pixels = int(np.clip(side, *MESH_PIXELS))
        window = resize(crop(image, x, y, side, side), (pixels, pixels))
        points = self._mesh.detect(window)
        if points is None:
            return None
        across, down = points[list(MOUTH), :2].mean(0) - points[list(EYES), :2].mean(0)
        colours = _colours(crop(window, *_rounded(points[:, :2])))
        points = points[:, :2] * (side / pixels) + (x, y)
        rectangle = np.concatenate([points.min(0), points.max(0)])
        dress = _dress(image, rectangle)
        return Face(rectangle, bool(down > abs(across)), colours, dress, resize(window, (PORTRAIT, PORTRAIT)))


def square_around(places: np.ndarray | list[np.ndarray], margin: float, width: int, height: int) -> Box:
    """The one box of a video: face rectangles (n,4) -> x, y, side in pixels of a frame of width x height.

    The union of all, with `margin` face heights on every side. It stays within the frame, by giving up margin where it
    must; it reaches outside only where hair or chin would be lost otherwise. Rectangles of twice or half the median
    size are taken for mistakes; a face that is seen at several places, larger here and smaller there, comes as a list
    of arrays, one a place.
    """
    extents = [_extent(p, width, height) for p in ([places] if isinstance(places, np.ndarray) else places)]
    low, high = _union(extents, 0)
    wanted, needed = (np.subtract(*_union(extents, m)[::-1]).max() for m in (margin, min(margin, NEEDED)))
    limit = min(width, height)
    side = wanted if wanted < ALREADY_A_CROP * limit else max(limit, needed)
    side = max(int(round(side)), 1)
    x, y = np.round((low + high) / 2 - side / 2).astype(int)
    room = np.array([width, height]) - side
    x, y = np.clip((x, y), np.minimum(room, 0), np.maximum(room, 0))
    return int(x), int(y), side


def _extent(rectangles: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The corners between which the faces of one place lie, mistakes apart, and the median height of them."""
    tall = rectangles[:, 3] - rectangles[:, 1]
    size = np.median(tall)
    kept = rectangles[(tall > size / 2) & (tall < size * 2)].clip(0, (width, height, width, height))
    return kept[:, :2].min(0), kept[:, 2:].max(0), size


def _union(extents: list[tuple], margin: float) -> tuple[np.ndarray, np.ndarray]:
    low = np.min([low - margin * size for low, _, size in extents], 0)
    return low, np.max([high + margin * size for _, high, size in extents], 0)


def _windows(image: np.ndarray, last: np.ndarray | None) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """x, y, (w, h) to look in: the frame, around the last face, then overlapping tiles of half its short side."""
    height, width = image.shape[:2]
    yield 0, 0, (width, height)
    if last is not None:
        side = int(4 * (last[3] - last[1]))
        x, y = ((last[:2] + last[2:] - side) / 2).astype(int)
        yield x, y, (side, side)
    side = min(width, height) // 2
    if side < 64:
        return
    for y in _starts(height, side):
        for x in _starts(width, side):
            yield x, y, (side, side)


def _starts(length: int, side: int) -> list[int]:
    return np.linspace(0, length - side, 1 + int(np.ceil(2 * (length - side) / side))).astype(int).tolist()


def _rounded(points: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, w, h of whole pixels around points."""
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    return (*low, *np.maximum(high - low, 1))


def _colours(face: np.ndarray) -> np.ndarray:
    """(H,W,3) -> (SHADES^2,): red's and green's part in each pixel, counted; a scalar product of two says how alike."""
    rgb = face.reshape(-1, 3).astype(np.float32) + 1
    red, green = (rgb[:, :2] / rgb.sum(1, keepdims=True)).T
    counts = np.histogram2d(red, green, SHADES, ((0.28, 0.6), (0.2, 0.4)))[0].ravel()
    return np.sqrt(counts / max(counts.sum(), 1)).astype(np.float32)


def _dress(image: np.ndarray, rectangle: np.ndarray) -> np.ndarray:
    """(64,): square root of a histogram of the clothes' colours, from a third of a face below the chin."""
    (x0, y0, x1, y1), (height, width) = rectangle, image.shape[:2]
    top, bottom = y1 + (y1 - y0) / 3, y1 + (y1 - y0)
    x0, x1 = np.clip((x0, x1), 0, width).astype(int)
    top, bottom = np.clip((top, bottom), 0, height).astype(int)
    shades = image[top:bottom:4, x0:x1:4].reshape(-1, 3) // 64 @ (16, 4, 1)
    return np.sqrt(np.bincount(shades, minlength=64) / max(len(shades), 1)).astype(np.float32)


def _covers(a: np.ndarray, b: np.ndarray) -> bool:
    centre = (b[:2] + b[2:]) / 2
    return bool((a[:2] < centre).all() and (centre < a[2:]).all())
