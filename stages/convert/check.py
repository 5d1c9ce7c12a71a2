"""Does the dataset show the head where the tracker saw it? Both upstreams' projections, in float64, compared in px.

The two sides share the head model's formula and nothing else: `seen_by_tracker` follows flame-head-tracker from its
npz (Euler pose, OpenGL view, clip space, NDC, screen), `seen_by_trainer` follows FlashAvatar from the .frame as it
lies on disk (6D rows, R and t, fields of view from frame 0, clip space, pixels). Neither calls geometry/cameras.py,
which wrote the .frame: a wrong sign there would cancel itself out.
"""

import numpy as np

from avatarmake.formats.frame import FrameRecord
from avatarmake.formats.tracking import TRACKER_SIZE, Tracking
from avatarmake.geometry import rotations
from avatarmake.head_model.model import HeadModel

TOLERANCE_PX = 0.01


def seen_by_tracker(frames: list[Tracking], head: HeadModel, side: int) -> np.ndarray:
    """(N,L,2) pixels of a square image of `side`: flame-head-tracker's own chain. One shape for all frames."""
    points = head.vertices(
        frames[0].shape,
        _stack(frames, "expression"),
        _stack(frames, "jaw_pose"),
        _stack(frames, "eye_pose"),
        _stack(frames, "eyelid_closure"),
        _stack(frames, "neck_pose"),
        _stack(frames, "head_pose"),
    )
    points = head.landmarks(points)
    cam = _stack(frames, "cam").astype(np.float64)
    pose = np.tile(np.eye(4), (len(frames), 1, 1))  # camera to world
    pose[:, :3, :3] = _euler(cam[:, 0], cam[:, 1], cam[:, 2])
    pose[:, :3, 3] = cam[:, 3:]
    pose[:, :, 1:3] *= -1  # the camera's own y and z axes: OpenGL looks along -z, the projection below along +z
    view = np.linalg.inv(pose)
    k = _stack(frames, "intrinsics").astype(np.float64) * TRACKER_SIZE / side  # the file's own K
    clip = _homogeneous(points) @ np.swapaxes(_tracker_projection(k) @ view, 1, 2)
    ndc = clip[..., :2] / clip[..., 3:]
    return (ndc / 2 + 0.5) * TRACKER_SIZE * (side / TRACKER_SIZE)


def seen_by_trainer(records: list[FrameRecord], first: FrameRecord, head: HeadModel, side: int) -> np.ndarray:
    """(N,L,2) pixels of a square image of `side`: FlashAvatar's chain, with shape, K and img_size of 00000.frame."""
    eyes = _stack(records, "eyes_rot6d").reshape(-1, 2, 6)
    points = head.vertices(
        first.shape,
        _stack(records, "expression"),
        rotations.axis_angle_from_matrix(rotations.matrix_from_rot6d(_stack(records, "jaw_rot6d"))),
        rotations.axis_angle_from_matrix(rotations.matrix_from_rot6d(eyes)).reshape(-1, 6),
        _stack(records, "eyelids"),
    )
    points = head.landmarks(points)
    view = np.tile(np.eye(4), (len(records), 1, 1))
    view[:, :3, :3] = _stack(records, "R")
    view[:, :3, 3] = _stack(records, "t")
    clip = _homogeneous(points) @ np.swapaxes(_trainer_projection(first) @ view, 1, 2)
    ndc = clip[..., :2] / clip[..., 3:]
    return (ndc + 1) / 2 * side  # the rasteriser's ((ndc + 1) side - 1) / 2 counts pixel centres at whole numbers


def reprojection_errors(seen: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(N,L,2), (N,L,2) -> (N,L) distances in pixels; a point behind a camera counts as infinitely far."""
    distance = np.linalg.norm(seen - shown, axis=-1)
    return np.where(np.isfinite(distance), distance, np.inf)


def _stack(items: list, name: str) -> np.ndarray:
    return np.stack([getattr(i, name) for i in items])


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], -1, dtype=np.float64)


def _euler(about_y: np.ndarray, about_x: np.ndarray, about_z: np.ndarray) -> np.ndarray:
    """(N,) angles -> (N,3,3): about x first, then y, then z, multiplied out."""
    sa, ca = np.sin(about_y), np.cos(about_y)
    sb, cb = np.sin(about_x), np.cos(about_x)
    sg, cg = np.sin(about_z), np.cos(about_z)
    rows = [
        [cg * ca, cg * sa * sb - sg * cb, cg * sa * cb + sg * sb],
        [sg * ca, sg * sa * sb + cg * cb, sg * sa * cb - cg * sb],
        [-sa, ca * sb, ca * cb],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _tracker_projection(k: np.ndarray, near: float = 0.1, far: float = 10.0) -> np.ndarray:
    """K (N,3,3) of the tracker's 256 px -> (N,4,4), z forward. Its third column is right for a centred K only."""
    p = np.zeros((len(k), 4, 4))
    p[:, 0, 0], p[:, 1, 1] = 2 * k[:, 0, 0] / TRACKER_SIZE, 2 * k[:, 1, 1] / TRACKER_SIZE
    p[:, 0, 2], p[:, 1, 2] = 1 - 2 * k[:, 0, 2] / TRACKER_SIZE, 1 - 2 * k[:, 1, 2] / TRACKER_SIZE
    p[:, 2, 2], p[:, 2, 3] = (far + near) / (far - near), -2 * far * near / (far - near)
    p[:, 3, 2] = 1
    return p


def _trainer_projection(first: FrameRecord, near: float = 0.01, far: float = 100.0) -> np.ndarray:
    """(4,4) from fields of view, as FlashAvatar builds it; cx and cy are not asked for."""
    size = np.array(first.image_size[::-1], np.float64)  # img_size is (h, w), and FlashAvatar calls it (w, h)
    focal = np.array([first.intrinsics[0, 0], first.intrinsics[1, 1]], np.float64)
    field_of_view = 2 * np.arctan(size / (2 * focal))
    p = np.zeros((4, 4))
    p[0, 0], p[1, 1] = 1 / np.tan(field_of_view / 2)
    p[2, 2], p[2, 3] = far / (far - near), -far * near / (far - near)
    p[3, 2] = 1
    return p
