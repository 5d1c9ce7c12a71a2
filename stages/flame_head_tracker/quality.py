"""The figures of detection/quality.py, of the 68 landmarks that upstream fits, in pixels of our 512 px images.

The error is over the 51 within the face, as upstream's own loss; jitter over those that hardly deform. Its figures are
near those of our own tracker (stages/track/quality.py) and not the same: other points of the face.
"""

import numpy as np

from avatarmake.contract.layout import IMAGE_SIZE
from avatarmake.formats.tracking import TRACKER_SIZE

OUTLINE = 17  # the first so many of the 68
RIGID = (*range(17, 27), *range(27, 31), 36, 39, 42, 45)  # brows, bridge of the nose, corners of the eyes
OUTER_CORNERS = (36, 45)


def measure(result: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One frame's part of quality.summary."""
    seen = (result["lmks_68"][0] / 2 + 0.5) * IMAGE_SIZE
    fitted = result["lmks_68_fitted"][0] * (IMAGE_SIZE / TRACKER_SIZE)
    a, b = OUTER_CORNERS
    return {
        "error_px": np.linalg.norm(fitted - seen, axis=1)[OUTLINE:].mean(),
        "eyes_px": np.linalg.norm(seen[a] - seen[b]),
        "rigid": fitted[list(RIGID)],
        "raw": seen[list(RIGID)],
    }
