"""Where FLAME's root and neck turn: what it takes to put a head's rigid motion into the camera, exactly.

    x = G N v + T,  N v = Rn (v - J1) + J1,  G v = Rg (v - J0) + J0;   camera: X = Rc x + tc
    R = Rc Rg Rn,   t = Rc (Rg (J1 - Rn J1 - J0) + J0 + T) + tc

holds for all of the head, whose skin follows the neck's joint wholly; below it the neck's own bend is lost. The joints
are FLAME's regressor of the shaped head, expression and offsets included. Formula: FLAME (Li et al., 2017).
"""

from functools import cached_property

import numpy as np

from avatarmake import assets
from avatarmake.geometry import rotations
from avatarmake.head_model.flame.model import Flame, V, read_model
from avatarmake.head_model.model import NECK, ROOT


class Joints:
    """Of the user's FLAME, read when it is first needed. Raises StageError (missing asset) then."""

    @cached_property
    def _flame(self) -> Flame:
        return read_model(assets.need_one(assets.FLAME))

    @cached_property
    def _directions(self) -> np.ndarray:
        """(5,3,400)"""
        return np.tensordot(self._flame.regressor, self._flame.shapedirs, 1)

    def of(self, shape: np.ndarray, expression: np.ndarray, offset: np.ndarray | None = None) -> np.ndarray:
        """shape (300,), expression (100,), offset (n,3) metres, n >= 5023 -> (5,3)."""
        at = self._flame.regressor @ self._flame.v_template + self._directions @ np.concatenate([shape, expression])
        return at if offset is None else at + self._flame.regressor @ offset[:V]


def into_camera(
    r: np.ndarray,
    t: np.ndarray,
    joints: np.ndarray | None,
    head_pose: np.ndarray,
    neck_pose: np.ndarray,
    translation: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Camera (3,3), (3,) and rigid motion -> the camera that sees the unmoved head alike. float64.

    `joints` (5,3) may be None where neither pose turns.
    """
    turn_g, turn_n = (rotations.matrix_from_axis_angle(np.asarray(p, np.float64)) for p in (head_pose, neck_pose))
    j0, j1 = (np.zeros(3), np.zeros(3)) if joints is None else (joints[ROOT], joints[NECK])
    shift = turn_g @ (j1 - turn_n @ j1 - j0) + j0 + translation
    return r @ turn_g @ turn_n, r @ shift + t
