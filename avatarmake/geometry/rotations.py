"""Rotations in numpy: axis-angle (radians), 3x3 matrices, and the 6D form of FlashAvatar's .frame files.

Shapes carry any leading batch axes. Formulas: Rodrigues; 6D after Zhou et al., "On the Continuity of Rotation
Representations in Neural Networks" (CVPR 2019), with ROWS as PyTorch3D has them. (roma takes columns: the
transpose, so a jaw would close instead of opening.)
"""

import numpy as np


def skew(v: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3) with `skew(v) @ x == cross(v, x)`."""
    x, y, z = np.moveaxis(np.asarray(v), -1, 0)
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*x.shape, 3, 3)


def matrix_from_axis_angle(r: np.ndarray) -> np.ndarray:
    """(..., 3) axis times angle in radians -> (..., 3, 3), in r's own precision."""
    r = np.asarray(r)
    angle2 = (r * r).sum(-1)[..., None, None]
    angle = np.sqrt(angle2)
    small = angle < 1e-3
    safe = np.where(small, 1, angle)
    s = np.where(small, 1 - angle2 / 6, np.sin(safe) / safe)
    c = np.where(small, 0.5 - angle2 / 24, 2 * np.sin(safe / 2) ** 2 / (safe * safe))
    k = skew(r)
    return (np.eye(3, dtype=r.dtype) + s * k + c * (k @ k)).astype(r.dtype)


def left_jacobian(r: np.ndarray) -> np.ndarray:
    """(..., 3) -> (..., 3, 3): `R(r + d) ~ R(J d) R(r)`, what an analytic Jacobian over axis-angle needs."""
    r = np.asarray(r)
    angle2 = (r * r).sum(-1)[..., None, None]
    angle = np.sqrt(angle2)
    small = angle < 1e-2
    safe = np.where(small, 1, angle)
    c = np.where(small, 0.5 - angle2 / 24, 2 * np.sin(safe / 2) ** 2 / (safe * safe))
    d = np.where(small, 1 / 6 - angle2 / 120, (safe - np.sin(safe)) / safe**3)
    k = skew(r)
    return (np.eye(3, dtype=r.dtype) + c * k + d * (k @ k)).astype(r.dtype)


def axis_angle_from_matrix(m: np.ndarray) -> np.ndarray:
    """(..., 3, 3) -> (..., 3), angle in [0, pi]; by way of the quaternion, so that it holds at pi too."""
    m = np.asarray(m, dtype=np.float64)
    d = np.stack([m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]], -1)
    trace = d.sum(-1, keepdims=True)
    four = np.concatenate([1 + trace, 1 + 2 * d - trace], -1)  # 4 w^2, 4 x^2, 4 y^2, 4 z^2
    w = [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    rows = [
        np.stack([four[..., 0], *w], -1),
        np.stack([w[0], four[..., 1], xy, xz], -1),
        np.stack([w[1], xy, four[..., 2], yz], -1),
        np.stack([w[2], xz, yz, four[..., 3]], -1),
    ]
    best = four.argmax(-1)
    q = np.take_along_axis(np.stack(rows, -2), best[..., None, None], -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    q = np.where(q[..., :1] < 0, -q, q)
    n = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(n, q[..., :1])
    return q[..., 1:] * np.where(n < 1e-12, 2.0, angle / np.maximum(n, 1e-12))


def rot6d_from_matrix(m: np.ndarray) -> np.ndarray:
    """(..., 3, 3) -> (..., 6): the first two ROWS, as PyTorch3D and FlashAvatar's .frame have them."""
    m = np.asarray(m)
    return m[..., :2, :].reshape(*m.shape[:-2], 6)


def matrix_from_rot6d(d: np.ndarray) -> np.ndarray:
    """(..., 6) -> (..., 3, 3) by Gram-Schmidt over the two rows."""
    d = np.asarray(d)
    a, b = d[..., :3], d[..., 3:]
    x = a / np.linalg.norm(a, axis=-1, keepdims=True)
    y = b - (x * b).sum(-1, keepdims=True) * x
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([x, y, np.cross(x, y)], -2)
