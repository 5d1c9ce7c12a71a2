"""What FlashAvatar takes for granted of all frames together, checked before anything is written; convert's limits."""

import numpy as np

from avatarmake.errors import StageError
from avatarmake.formats.frame import FrameRecord
from stages.imported.found import Found, Shot

ROTATION = 1e-3  # by which the entries of R^T R may differ from the identity's
FOCAL_PX, CENTRE_PX, SHAPE = 0.005, 1e-3, 1e-5  # at the picture's edge; px; -


def check(found: Found) -> None:
    """Raises StageError: which frame, by how much, what to do."""
    if not found.shots:
        raise StageError("holds no frame with an image", found.root)
    first = found.shots[0]
    for shot in found.shots:
        if shot.record is not None:
            _one(shot, found)
            _same(shot, first, found)


def _one(shot: Shot, found: Found) -> None:
    record, where = shot.record, _where(shot, found)
    r, k = record.R.astype(np.float64), record.intrinsics.astype(np.float64)
    off = float(np.abs(r.T @ r - np.eye(3)).max())
    if off > ROTATION:
        raise StageError(f"its R is no rotation: R^T R is {off:.2g} from the identity", where)
    if np.linalg.det(r) < 0:
        what = "its R mirrors (determinant -1): the camera's axes are left-handed"
        raise StageError(what, where, "OpenCV's are x right, y down, z forward: turn two axes round, or none")
    if not record.t[2] > 0:
        what = f"has the head behind the camera (z is {record.t[2]:.2f} m)"
        raise StageError(what, where, "Its camera's axes are another's: OpenGL's look along -z, OpenCV's along +z")
    if k[0, 0] <= 0 or k[1, 1] <= 0 or abs(k[0, 1]) > 1e-6 or np.abs(k[2] - (0, 0, 1)).max() > 1e-6:
        raise StageError(f"its K is no camera's: {k.tolist()}", where)
    for name, turn in (("jaw", record.jaw_rot6d), ("eyes", record.eyes_rot6d)):
        rows = turn.astype(np.float64).reshape(-1, 2, 3)
        length = np.linalg.norm(rows, axis=-1)
        parallel = np.linalg.norm(np.cross(rows[:, 0], rows[:, 1]), axis=-1)
        if not (length > 0.1).all() or not (parallel > 0.01).all():
            raise StageError(f"its {name} is no rotation in six numbers", where)


def _same(shot: Shot, first: Shot, found: Found) -> None:
    a, b, where = shot.record, first.record, _where(shot, found)
    if a.image_size != b.image_size:
        raise StageError(f"its img_size is {a.image_size}, that of {first.where} {b.image_size}", where)
    if _edge_px(a, b) > FOCAL_PX:
        what = f"its focal length is {a.intrinsics[0, 0]:.2f} px, that of {first.where} {b.intrinsics[0, 0]:.2f}"
        raise StageError(f"{what}; FlashAvatar takes one for all", where, "Track with a fixed focal length")
    moved = np.abs(a.intrinsics[:2, 2] - b.intrinsics[:2, 2]).max()
    if moved > CENTRE_PX:
        what = f"its principal point is {moved:.2f} px from that of {first.where}; FlashAvatar takes one for all"
        raise StageError(what, where, "Track one fixed crop with one camera")
    far = float(np.abs(a.shape - b.shape).max())
    if far > SHAPE:
        what = f"its shape is not that of {first.where} (a number differs by {far:.2g}); FlashAvatar takes one for all"
        raise StageError(what, where, "Track with one shape for the whole video")


def _edge_px(a: FrameRecord, b: FrameRecord) -> float:
    focal = np.diag(a.intrinsics)[:2].astype(np.float64) / np.diag(b.intrinsics)[:2] - 1
    return float((np.abs(focal) * np.array(b.image_size) / 2).max())


def _where(shot: Shot, found: Found) -> str:
    return f"{found.root}: {shot.where}"
