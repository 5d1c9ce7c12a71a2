"""Quarter turns of a whole video: a face that lies on its side, because the file's rotation is missing or wrong."""

from collections.abc import Iterable

import numpy as np

from stages.frames.face import FaceFinder

TURNS = (0, 90, 180, 270)  # degrees clockwise
LOOKS = 12  # frames that are tried in every turn
CLEAR = 0.5  # of the frames must show an upright face in the turn that wins


def turned(image: np.ndarray, degrees: int) -> np.ndarray:
    """The image turned clockwise by quarter turns; a view."""
    return np.rot90(image, -degrees // 90)


def best_turn(images: Iterable[np.ndarray]) -> tuple[int, dict[int, int], int]:
    """Look at frames as they are and in each quarter turn -> the clear winner, else 0; upright faces by turn; frames.

    Clear is what shows an upright face in half of the frames, and in twice as many as no turn at all does.
    """
    seen, looked = dict.fromkeys(TURNS, 0), 0
    with FaceFinder() as finder:
        for image in images:
            looked += 1
            for degrees in TURNS:
                seen[degrees] += any(face.upright for face in finder.faces(turned(image, degrees), None))
    best = max(TURNS, key=seen.__getitem__)
    clear = seen[best] >= max(CLEAR * looked, 2 * seen[0], 1)
    return best if clear else 0, seen, looked
