"""Which of MediaPipe's 478 landmarks the tracker looks at, and how much it trusts each. Numbers: MediaPipe's face mesh.

"Right" and "left" are the subject's.
"""

import numpy as np

from avatarmake.detection import N_LANDMARKS

RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
RIGHT_LIDS = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_LIDS = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
NOSE = (168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 97, 98, 326, 327, 45, 275, 220, 440, 115, 344, 48, 278, 64, 294)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
# the skin between: a few of cheeks, forehead and chin, for depth and pose
SKIN = (
    *(9, 8, 151, 108, 337, 69, 299, 104, 333),  # forehead
    *(50, 280, 101, 330, 205, 425, 36, 266, 187, 411, 123, 352, 117, 346, 203, 423),  # cheeks
    *(18, 200, 199, 175, 83, 313, 204, 424, 210, 430),  # chin
)

OUTER_CORNERS = (33, 263)  # of the eyes: their distance in the image is the unit of every relative error

SETS = {
    "core": (
        *(*RIGHT_BROW, *LEFT_BROW, *RIGHT_LIDS, *LEFT_LIDS, *RIGHT_IRIS, *LEFT_IRIS),
        *(*NOSE, *OUTER_LIPS[::2], *INNER_LIPS[::2]),
    ),
    "face": (
        *(*RIGHT_BROW, *LEFT_BROW, *RIGHT_LIDS, *LEFT_LIDS, *RIGHT_IRIS, *LEFT_IRIS),
        *(*NOSE, *OUTER_LIPS, *INNER_LIPS, *SKIN, *FACE_OVAL[::2]),
    ),
    "all": tuple(range(N_LANDMARKS)),
}

# Inverse variances, relative. The oval is where the cheek turns away from the camera: it slides over the skin as the
# head turns. Lids and lips carry what an avatar is driven by.
TRUST = np.full(N_LANDMARKS, 0.5, np.float32)
for _ids, _trust in (
    (FACE_OVAL, 0.05),
    (SKIN, 0.5),
    (RIGHT_BROW + LEFT_BROW, 1.0),
    (NOSE, 1.0),
    (OUTER_LIPS, 1.0),
    (INNER_LIPS, 1.5),
    (RIGHT_LIDS + LEFT_LIDS, 2.0),
    (RIGHT_IRIS + LEFT_IRIS, 1.5),
):
    TRUST[list(_ids)] = _trust


def chosen(name: str, available: np.ndarray) -> np.ndarray:
    """The landmarks of a set that a head model embeds, ascending; (L,) int."""
    return np.array(sorted(set(SETS[name]) & {int(i) for i in available}), np.int32)
