"""One tracked frame -> one FlashAvatar record (docs/conventions.md): exact camera, 6D rotations by rows, eyelids."""

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats.frame import FrameRecord
from avatarmake.formats.tracking import Tracking
from avatarmake.geometry import cameras, rotations


def convert(t: Tracking, where: str) -> FrameRecord:
    """Raises StageError where a .frame cannot say what the tracker solved. `where` names it in messages."""
    for name in ("head_pose", "neck_pose"):
        if np.abs(getattr(t, name)).max() > 1e-6:
            raise StageError(
                f"{name} is not zero, and FlashAvatar poses no {name.split('_')[0]}: it would be lost",
                where,
                "Track with all rigid motion in the camera (flame-head-tracker: without photometric fitting)",
            )
    if t.eyelid_closure is None:
        raise StageError("has neither eyelids nor blendshape_scores: nothing says how far the eyes are closed", where)
    r, translation = cameras.extrinsics_from_cam(t.cam)
    if translation[2] <= 0:
        raise StageError("has the head behind the camera", where, "Track again: its camera pose cannot be right")
    eyes = rotations.matrix_from_axis_angle(t.eye_pose.astype(np.float64).reshape(2, 3))  # left, right
    jaw = rotations.matrix_from_axis_angle(t.jaw_pose.astype(np.float64))
    return FrameRecord(
        shape=t.shape,
        expression=t.expression,
        jaw_rot6d=rotations.rot6d_from_matrix(jaw),
        eyes_rot6d=rotations.rot6d_from_matrix(eyes).ravel(),
        eyelids=t.eyelid_closure,
        R=r,
        t=translation,
        intrinsics=t.intrinsics,
        image_size=t.image_size,
    )
