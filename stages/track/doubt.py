"""Frames whose face is mostly covered (a hand, a microphone) or blurred: the detector finds a face there all the same.

Covered: the detector's network makes up what it does not see, and makes it up anew when it looks again. So now and
then a frame's face is looked for a second time, in a window a little off; points that differ much more than on a face
in plain sight betray it, and its neighbours are then looked at one by one. Blurred: the face has much less detail than
half a second before and after.
"""

from collections.abc import Callable

import numpy as np

from avatarmake.formats.images import crop, resize
from stages.track import points

PROBE = 6  # every how many frames a second look is taken
VIEWS = ((0.0, 1.5), (0.15, 1.9))  # windows: their centre off by, their side, in the face's larger side
PIXELS = 256  # side of the image that such a window becomes
# How far the two may be from each other, in distances of the eyes' corners. Measured on a real head that turns by 60
# degrees: three quarters of it at most; a mouth behind a hand 1 to 5 times it. Each part of the face by itself.
LIMITS = (
    (points.OUTER_LIPS + points.INNER_LIPS, 0.03),
    (points.RIGHT_LIDS + points.LEFT_LIDS, 0.025),
    (points.RIGHT_BROW + points.LEFT_BROW, 0.03),
    (points.NOSE, 0.05),
    (points.SKIN, 0.055),
    (points.FACE_OVAL, 0.07),
)
CLOSER = 0.75  # times that much: the neighbours are looked at
NO_FACE = 2.0  # of a second look that finds none
USUAL = 2.5  # times what is usual in this video: small or noisy faces differ everywhere
BLURRED = 0.5  # of the detail around it. On a real video: .86 at least, .25 where it was smeared over 28 pixels


def second_look(look: Callable, image: np.ndarray, landmarks: np.ndarray, view: int) -> float:
    """How far a detector is from its own landmarks (478,2) in another window, in LIMITS: above 1 is doubtful.

    look(image, near) is the detector's; NaN where it sees another face only.
    """
    low, high = landmarks.min(0), landmarks.max(0)
    shift, size = VIEWS[view]
    side = max(int(size * (high - low).max()), 8)
    x, y = np.round((low + high) / 2 + shift * (high - low).max() - side / 2).astype(int)
    window = resize(crop(image, x, y, side, side), (PIXELS, PIXELS))
    scale = side / PIXELS
    again = look(window, ((low + high) / 2 - (x, y))[None] / scale)
    if again is None:
        return NO_FACE
    off = np.linalg.norm(again[:, :2] * scale + (x, y) - landmarks, axis=-1)
    unit = max(np.linalg.norm(landmarks[points.OUTER_CORNERS[0]] - landmarks[points.OUTER_CORNERS[1]]),
               0.4 * (high - low)[1])  # fmt: skip
    return float(max(off[list(part)].mean() / (limit * unit) for part, limit in LIMITS))


def detail(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Mean step between neighbouring pixels of the face, across or down, whichever is less: blur has a direction."""
    low, high = np.floor(landmarks.min(0)).astype(int).clip(0), np.ceil(landmarks.max(0)).astype(int)
    face = image[low[1] : high[1], low[0] : high[0], 1].astype(np.int16)
    if min(face.shape) < 8:
        return float("nan")
    return float(min(np.abs(np.diff(face, axis=axis)).mean() for axis in (0, 1)))


class Doubts:
    """The doubts about frames first .. last - 1 of one chunk: `scores` (n,) in LIMITS, NaN where nobody looked twice,
    and `details` (n,)."""

    def __init__(self, look: Callable, read: Callable, first: int, last: int):
        self._look, self._read, self._first, self._ends = look, read, first, (first, last - 1)
        self.scores, self.details = np.full((2, last - first), np.nan, np.float32)

    def see(self, index: int, image: np.ndarray, landmarks: np.ndarray | None) -> None:
        """Frame after frame, as it was detected."""
        if landmarks is None:
            return
        self.details[index - self._first] = detail(image, landmarks)
        if index % PROBE == 0 or index in self._ends:  # the ends: no look at neighbours goes beyond them
            view = index // PROBE % len(VIEWS)
            self.scores[index - self._first] = second_look(self._look, image, landmarks, view)

    def settle(self, landmarks: np.ndarray) -> None:
        """Look at the neighbours of doubtful frames, in every window. landmarks (n,478,2), NaN where there is no face.

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
                    image = self._read(self._first + i)
                    self.scores[i] = max(second_look(self._look, image, landmarks[i], v) for v in range(len(VIEWS)))
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
