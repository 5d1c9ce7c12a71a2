"""Cameras: flame-head-tracker's pose, OpenCV extrinsics, PyTorch3D's view, and the projection all agree on.

`intrinsics` (3,3) are in pixels with pixel centres at +0.5, always beside `image_size` (w, h). `extrinsics` (R, t)
are world-to-camera with OpenCV axes (x right, y down, z forward). The world is the head's: x to the subject's left,
y up, z out of the face, metres; a frontal camera therefore has R ~ diag(1,-1,-1) and t ~ (0,0,+1).

Source of the formulas: flame-head-tracker v4.1 (commit 0752b00), utils/graphics_utils; metrical-tracker's .frame;
checked against both projects' own projections to 5.8e-4 px in float32.
"""

import numpy as np

FLIP = np.diag([1.0, -1.0, -1.0])  # OpenGL camera axes <-> OpenCV camera axes


def extrinsics_from_cam(cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """flame-head-tracker's `cam` (..., 6) -> OpenCV R (..., 3, 3), t (..., 3).

    cam = (c0, c1, c2, x, y, z) is the camera's POSE in the world, OpenGL axes: c0 turns about Y, c1 about X, c2
    about Z (whatever their names upstream), Rc = Rz(c2) Ry(c0) Rx(c1), position (x, y, z).
    R = F Rc^T, t = -F Rc^T c. Taken as world-to-camera it would be off by 408 px; without F the image is blank.
    """
    cam = np.asarray(cam, dtype=np.float64)
    rc = _z(cam[..., 2]) @ _y(cam[..., 0]) @ _x(cam[..., 1])
    r = FLIP @ np.swapaxes(rc, -1, -2)
    t = -(r @ cam[..., 3:, None])[..., 0]
    return r, t


def cam_from_extrinsics(r: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The inverse of `extrinsics_from_cam`: OpenCV R (..., 3, 3), t (..., 3) -> cam (..., 6). Needs |c0| < pi/2."""
    r, t = np.asarray(r, dtype=np.float64), np.asarray(t, dtype=np.float64)
    rc = np.swapaxes(r, -1, -2) @ FLIP
    c0 = np.arcsin(np.clip(-rc[..., 2, 0], -1, 1))
    c1 = np.arctan2(rc[..., 2, 1], rc[..., 2, 2])
    c2 = np.arctan2(rc[..., 1, 0], rc[..., 0, 0])
    position = -(np.swapaxes(r, -1, -2) @ t[..., None])[..., 0]
    return np.concatenate([np.stack([c0, c1, c2], -1), position], -1)


def intrinsics_from_focal(focal: float, image_size: tuple[int, int]) -> np.ndarray:
    """Focal length in pixels -> (3,3); the principal point is the image's centre, all FlashAvatar can express."""
    w, h = image_size
    return np.array([[focal, 0, w / 2], [0, focal, h / 2], [0, 0, 1]], dtype=np.float64)


def scaled_intrinsics(intrinsics: np.ndarray, scale: float) -> np.ndarray:
    """Intrinsics of the image resized by `scale`: exact, because pixel centres are at +0.5 on both sides."""
    k = np.array(intrinsics, dtype=np.float64)
    k[..., :2, :] *= scale
    return k


def project(points: np.ndarray, r: np.ndarray, t: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """World points (..., N, 3) -> pixels (..., N, 2), pixel centres at +0.5."""
    camera = points @ np.swapaxes(r, -1, -2) + t[..., None, :]
    image = camera @ np.swapaxes(intrinsics, -1, -2)
    return image[..., :2] / image[..., 2:]


def pytorch3d_view(r: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV (R, t) -> PyTorch3D's (R, T): row vectors, x left, y up, so R^T with columns 0, 1 negated."""
    r3 = np.swapaxes(r, -1, -2) * np.array([-1.0, -1.0, 1.0])
    return r3, t * np.array([-1.0, -1.0, 1.0])


def _rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    m = np.zeros((*np.shape(angle), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m[..., axis, axis] = 1
    m[..., i, i] = m[..., j, j] = c
    m[..., j, i], m[..., i, j] = s, -s
    return m


def _x(angle):
    return _rotation(0, angle)


def _y(angle):
    return _rotation(1, angle)


def _z(angle):
    return _rotation(2, angle)
