"""Frames whose face is mostly covered (a hand, a microphone) or blurred: the detector finds a face there all the same.

Covered: the detector's network makes up what it does not see, and makes it up anew when it looks again. So now and
then a frame's face is looked for a second time, in a window a little off; points that differ much more than on a face
in plain sight betray it, and its neighbours are then looked at one by one. Blurred: the face has much less detail than
half a second before and after.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from avatarmake.formats.images import crop, resize
from stages.track import points

PROBE = 8  # every how many frames a second look is taken: a look costs as much as following the face over two
VIEWS = ((0.0, 1.5), (0.15, 1.9), (-0.15, 1.7))  # windows: their centre off by, their side, in the face's larger side
PIXELS = 256  # side of the image that such a window becomes
# How far two looks may be from each other, in distances of the eyes' corners. Measured on a real head that turns by 60
# degrees: three quarters of it at most; a mouth behind a hand 1 to 5 times it. Each part of the face by itself.
LIMITS = (
    (points.OUTER_LIPS + points.INNER_LIPS, 0.03),
    (points.RIGHT_LIDS + points.LEFT_LIDS, 0.025),
    (points.RIGHT_BROW + points.LEFT_BROW, 0.03),
    (points.NOSE, 0.05),
    (points.SKIN, 0.055),
    (points.FACE_OVAL, 0.07),
)
STRANGERS = 0.9  # times that much where looks are held against each other, not against what was followed before
CLOSER = 0.75  # times as much: the neighbours are looked at
NO_FACE = 2.0  # of a second look that finds none
USUAL = 2.5  # times what is usual in this video: small or noisy faces differ everywhere
BLURRED = 0.5  # of the detail around it. On a real video: .86 at least, .25 where it was smeared over 28 pixels


def look_again(look: Callable, image: np.ndarray, landmarks: np.ndarray, view: int) -> np.ndarray | None:
    """Where a detector, look(image, near), sees the points of a face (478,2) in another window; None for no face."""
    low, high = landmarks.min(0), landmarks.max(0)
    shift, size = VIEWS[view]
    side = max(int(size * (high - low).max()), 8)
    corner = np.round((low + high) / 2 + shift * (high - low).max() - side / 2).astype(int)
    window = resize(crop(image, *corner, side, side), (PIXELS, PIXELS))
    seen = look(window, ((low + high) / 2 - corner)[None] * (PIXELS / side))
    return None if seen is None else seen[:, :2] * (side / PIXELS) + corner


def disagreement(looks: Sequence[np.ndarray | None]) -> float:
    """How far looks at one face are from each other, in LIMITS: above 1 is doubtful."""
    if any(look is None for look in looks):
        return NO_FACE
    first = looks[0]
    eyes = np.linalg.norm(first[points.OUTER_CORNERS[0]] - first[points.OUTER_CORNERS[1]])
    unit = max(eyes, 0.4 * np.ptp(first[:, 1]))  # a face that is turned away has its eyes close together
    worst = 0.0
    for a, b in combinations(looks, 2):
        off = np.linalg.norm(a - b, axis=-1) / unit
        worst = max(worst, *(float(off[list(part)].mean()) / limit for part, limit in LIMITS))
    return worst


def detail(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Mean step between neighbouring pixels of the face, across or down, whichever is less: blur has a direction."""
    low, high = np.floor(landmarks.min(0)).astype(int).clip(0), np.ceil(landmarks.max(0)).astype(int)
    face = image[low[1] : high[1], low[0] : high[0], 1].astype(np.int16)
    if min(face.shape) < 8:
        return float("nan")
    return float(min(np.abs(np.diff(face, axis=axis)).mean() for axis in (0, 1)))


class Doubts:
    """The doubts about frames first .. last - 1 of one chunk: `scores` (n,) in LIMITS, NaN where nobody looked twice,
    and `details` (n,).

    `look` is the face mesh's; `own` says that the landmarks are too, so that a look can be held against them.
    """

    def __init__(self, look: Callable, read: Callable, own: bool, first: int, last: int):
        self._look, self._read, self._own = look, read, own
        self._first, self._ends = first, (first, last - 1)
        self.scores, self.details = np.full((2, last - first), np.nan, np.float32)

    def see(self, index: int, image: np.ndarray, landmarks: np.ndarray | None) -> None:
        """Frame after frame, as it was detected."""
        if landmarks is None:
            return
        self.details[index - self._first] = detail(image, landmarks)
        if index % PROBE == 0 or index in self._ends:  # the ends: no look at neighbours goes beyond them
            views = (index // PROBE % 2,) if self._own else (0, 1)
            self.scores[index - self._first] = self._score(image, landmarks, views)

    def _score(self, image: np.ndarray, landmarks: np.ndarray, views: Sequence[int]) -> float:
        looks = [look_again(self._look, image, landmarks, v) for v in views]
        return disagreement([landmarks, *looks]) if self._own else disagreement(looks) / STRANGERS

    def settle(self, landmarks: np.ndarray) -> None:
        """Look at the neighbours of doubtful frames, in more windows. landmarks (n,478,2), NaN where there is no face.

        Where most are doubtful, the video is (noise, a small face): then those looked at speak for the others.
        """
        probed = np.isfinite(self.scores)
        doubtful = self.scores > CLOSER
        if not doubtful.any() or 2 * doubtful.sum() > probed.sum():
            return
        todo, done = set(np.flatnonzero(doubtful).tolist()), set()
        while todo:
            at = todo.pop()
            near = range(max(at - PROBE + 1, 0), min(at + PROBE, len(self.scores)))
            for i in sorted(set(near) - done):
                done.add(i)
                if np.isfinite(landmarks[i, 0, 0]):
                    views = (0, 1) if self._own else (0, 1, 2)
                    self.scores[i] = self._score(self._read(self._first + i), landmarks[i], views)
                    if self.scores[i] > CLOSER and i != at:
                        todo.add(i)
            done.add(at)


def covered(scores: np.ndarray) -> np.ndarray:
    """(F,) scores of all frames -> numbers of those whose face is mostly covered; single ones are chance.

    What lies between two of them, no further apart than second looks are, is covered too.
    """
    seen = np.flatnonzero(np.isfinite(scores))
    if not len(seen):
        return seen
    usual = np.median(scores[seen[seen % PROBE == 0]]) if (seen % PROBE == 0).any() else 0
    hits = seen[scores[seen] > max(1, USUAL * usual)]
    close = np.flatnonzero(np.diff(hits) <= PROBE)
    marked = np.zeros(len(scores), bool)
    for a in close:
        marked[hits[a] : hits[a + 1] + 1] = True
    return np.flatnonzero(marked)


def blurred(details: np.ndarray, fps: float) -> np.ndarray:
    """(F,) details, NaN without a face -> numbers of frames with much less of it than the second around them has."""
    reach, found = max(round(fps / 2), 2), []
    for i in np.flatnonzero(np.isfinite(details)):
        around = details[max(i - reach, 0) : i + reach + 1]
        if details[i] < BLURRED * np.nanmedian(around):
            found.append(i)
    return np.array(found, int)
