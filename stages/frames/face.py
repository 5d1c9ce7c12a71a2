"""Where the head is, over the whole video: one face followed through a sparse sample, one square around it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from avatarmake.detection import FaceDetector, FaceMesh
from avatarmake.formats.images import crop, resize

CONTEXT = 2.0  # side of the image in which the mesh is looked for, in sides of the detector's box
MESH_PIXELS = (192, 512)  # that image's side in pixels is brought into this range
NEEDED = 0.35  # face heights around the face without which hair or chin is lost
ALREADY_A_CROP = 0.85  # a box that would take this much of the frame's short side takes all of it


@dataclass
class Person:
    """One face through the samples. Rectangles are x0, y0, x1, y1 of the mesh, hairline to chin, in pixels."""

    rectangles: list[np.ndarray] = field(default_factory=list)

    @property
    def weight(self) -> float:
        """How much of the video's main person this is: its height, summed over the samples it is seen in."""
        return float(sum(r[3] - r[1] for r in self.rectangles))

    def distance(self, rectangle: np.ndarray) -> float:
        """How far a rectangle is from where this face was last, in face heights; a change of size is distance too."""
        last = self.rectangles[-1]
        size = max(last[3] - last[1], 1e-3)
        centre = (rectangle[:2] + rectangle[2:] - last[:2] - last[2:]) / 2
        return float(np.hypot(*centre) / size + abs(np.log2((rectangle[3] - rectangle[1]) / size)))


def find_people(images: Iterable[np.ndarray]) -> tuple[list[Person], int]:
    """Follow every face through sampled frames (H,W,3). -> people, the main one first; the number of samples."""
    people: list[Person] = []
    samples = 0
    with FaceDetector(far=True) as detector, FaceMesh(static=True) as mesh:
        for image in images:
            samples += 1
            last = max(people, key=lambda p: p.weight).rectangles[-1] if people else None
            for rectangle in _faces(image, detector, mesh, last):
                near = min(people, key=lambda p: p.distance(rectangle), default=None)
                if near is None or near.distance(rectangle) > 1.5:
                    near = Person()
                    people.append(near)
                near.rectangles.append(rectangle)
    return sorted(people, key=lambda p: -p.weight), samples


def square_around(rectangles: np.ndarray, margin: float, width: int, height: int) -> tuple[int, int, int]:
    """The one box of a video: face rectangles (n,4) -> x, y, side in pixels of a frame of width x height.

    The union of all, with `margin` face heights on every side. It stays within the frame, by giving up margin where it
    must; it reaches outside only where hair or chin would be lost otherwise. Rectangles of twice or half the median
    size are taken for mistakes.
    """
    tall = rectangles[:, 3] - rectangles[:, 1]
    size = np.median(tall)
    kept = rectangles[(tall > size / 2) & (tall < size * 2)].clip(0, (width, height, width, height))
    low, high = kept[:, :2].min(0), kept[:, 2:].max(0)
    wanted, needed = ((high - low).max() + 2 * m * size for m in (margin, min(margin, NEEDED)))
    limit = min(width, height)
    side = wanted if wanted < ALREADY_A_CROP * limit else max(limit, needed)
    side = max(int(round(side)), 1)
    x, y = np.round((low + high) / 2 - side / 2).astype(int)
    room = np.array([width, height]) - side
    x, y = np.clip((x, y), np.minimum(room, 0), np.maximum(room, 0))
    return int(x), int(y), side


def _faces(image: np.ndarray, detector: FaceDetector, mesh: FaceMesh, last: np.ndarray | None) -> list[np.ndarray]:
    """Rectangles of the faces in one frame, by mesh; closer looks where the whole frame shows none."""
    found: list[np.ndarray] = []
    for x, y, side in _windows(image, last):
        window = crop(image, x, y, *side)
        for box in detector.detect(window)[:4, :4]:
            rectangle = _mesh_rectangle(image, mesh, box + (x, y, x, y))
            if rectangle is not None and not any(_covers(r, rectangle) for r in found):
                found.append(rectangle)
        if found and (x, y) == (0, 0) and side == image.shape[1::-1]:
            break  # the whole frame showed some
        if found and last is not None:
            break
    return found


def _windows(image: np.ndarray, last: np.ndarray | None):
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


def _mesh_rectangle(image: np.ndarray, mesh: FaceMesh, box: np.ndarray) -> np.ndarray | None:
    """Look at a detector's box closely: the mesh's rectangle in pixels of `image`, or None where there is no face."""
    side = max(int(CONTEXT * max(box[2] - box[0], box[3] - box[1])), 8)
    x, y = np.round((box[:2] + box[2:] - side) / 2).astype(int)
    pixels = int(np.clip(side, *MESH_PIXELS))
    points = mesh.detect(resize(crop(image, x, y, side, side), (pixels, pixels)))
    if points is None:
        return None
    points = points[:, :2] * (side / pixels) + (x, y)
    return np.concatenate([points.min(0), points.max(0)])


def _covers(a: np.ndarray, b: np.ndarray) -> bool:
    centre = (b[:2] + b[2:]) / 2
    return bool((a[:2] < centre).all() and (centre < a[2:]).all())
