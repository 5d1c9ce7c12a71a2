"""MediaPipe's numbering of the 478 landmarks: the rims and rings that the open head is built around."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Eye:
    """Numbers from the outer corner to the inner one (both corners included), and the iris: centre, then 4 around."""

    upper: tuple[int, ...]  # rim of the upper lid
    lower: tuple[int, ...]
    upper_ring: tuple[int, ...]  # the next ring outwards
    lower_ring: tuple[int, ...]
    brow: tuple[int, ...]
    iris: tuple[int, ...]

    @property
    def rim(self) -> list[int]:
        return [*self.upper, *self.lower[-2:0:-1]]

    @property
    def ring(self) -> list[int]:
        return [*self.upper_ring, *self.lower_ring[-2:0:-1]]


RIGHT_EYE = Eye(  # the subject's right
    upper=(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower=(33, 7, 163, 144, 145, 153, 154, 155, 133),
    upper_ring=(130, 247, 30, 29, 27, 28, 56, 190, 243),
    lower_ring=(130, 25, 110, 24, 23, 22, 26, 112, 243),
    brow=(46, 53, 52, 65, 55, 70, 63, 105, 66, 107),
    iris=(468, 469, 470, 471, 472),
)
LEFT_EYE = Eye(
    upper=(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower=(263, 249, 390, 373, 374, 380, 381, 382, 362),
    upper_ring=(359, 467, 260, 259, 257, 258, 286, 414, 463),
    lower_ring=(359, 255, 339, 254, 253, 252, 256, 341, 463),
    brow=(276, 283, 282, 295, 285, 300, 293, 334, 296, 336),
    iris=(473, 474, 475, 476, 477),
)
# from the subject's right corner to the left one
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER = [*LIPS_INNER_UPPER, *LIPS_INNER_LOWER[-2:0:-1]]
LIPS_OUTER = [*LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER[-2:0:-1]]
LIP_RINGS_UPPER = (  # rim to outline
    LIPS_INNER_UPPER,
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    LIPS_OUTER_UPPER,
)
LIP_RINGS_LOWER = (
    LIPS_INNER_LOWER,
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    LIPS_OUTER_LOWER,
)
FACE_OVAL = [  # from the top, by way of the subject's right, to the chin and up again
    10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148,
    152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356, 389, 251, 284, 332, 297, 338,
]  # fmt: skip
