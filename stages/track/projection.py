"""Parameters -> landmarks in the image, with the analytic Jacobian.

The head model's formula (stages/head_model) at the landmarks only, for a head whose root and neck do not move (all
rigid motion is the camera's): x = sum_j w_j (R_j (v - J_j) + J_j), then uv = f (R x + t)_xy / (R x + t)_z + centre.
"""

from dataclasses import dataclass

import numpy as np

from stages import rotations
from stages.head_model import JAW as JAW_JOINT
from stages.head_model import LEFT_EYE, N_SHAPE, RIGHT_EYE, HeadModel
from stages.track import parameters as P

MOVING = (JAW_JOINT, LEFT_EYE, RIGHT_EYE)
# each moving joint: where its axis-angle lies in the vector, and how many of its components are free
FREE = ((P.JAW.start, 3), (P.EYES.start, 2), (P.EYES.start + 2, 2))


@dataclass
class _Posed:
    """What the Jacobian needs again. F frames, L landmarks; the second axis of r and rot is the moving joint."""

    r: np.ndarray  # (F,3,3) axis-angle
    rot: np.ndarray  # (F,3,3,3)
    about: list  # per moving joint: R_j (v - J_j) of its landmarks, (F,n,3)
    turned: np.ndarray  # (F,L,3) R x: camera coordinates before t
    camera_rot: np.ndarray  # (F,3,3)
    seen: np.ndarray  # (F,L,3) camera coordinates
    uv: np.ndarray  # (F,L,2) px


class Projection:
    """One head model at L landmarks; `shape` (300,) and `focal` (px) are constants of a video."""

    def __init__(self, model: HeadModel, shape: np.ndarray, focal: float, image_size: tuple, dtype=np.float32):
        self.model, self.dtype = model, dtype
        self.centre = np.array(image_size, dtype) / 2
        self.expr = model.exprdirs.astype(dtype)  # (L,3,100)
        self.lids = model.eyeliddirs.astype(dtype)  # (2,L,3)
        self.shapedirs = model.shapedirs.astype(dtype)
        self.weights = model.weights.astype(dtype)
        pose = model.posedirs[9:].reshape(3, 9, -1, 3).astype(dtype)  # of jaw and eyes; the neck's are never used
        self.posedirs = pose if pose.any() else None
        self.moved = [np.flatnonzero(model.weights[:, j]) for j in MOVING]
        self.set(shape, focal)

    def set(self, shape: np.ndarray, focal: float) -> None:
        self.shape, self.focal = np.asarray(shape, self.dtype), self.dtype(focal)
        self.neutral = self.model.v_template.astype(self.dtype) + self.shapedirs @ self.shape
        joints = self.model.joint_template + self.model.joint_shapedirs.astype(self.dtype) @ self.shape
        self.joints = joints[list(MOVING)].astype(self.dtype)  # (3,3)

    def uv(self, p: np.ndarray) -> np.ndarray:
        """p (F,115) -> (F,L,2) px."""
        return self._pose(p).uv

    def uv_jacobian(self, p: np.ndarray, with_shape: bool = False):
        """-> uv (F,L,2), J (F,L,2,115), and with_shape (F,L,2,301): shape, then log focal."""
        posed = self._pose(p)
        count, n = posed.uv.shape[:2]
        view = self._view(posed)  # (F,L,2,3): d uv / d camera coordinates
        body = view @ posed.camera_rot[:, None]  # d uv / d posed landmark
        blend = self._blend(posed.rot)  # (F,L,3,3): d posed / d rest
        rest = body @ blend

        jac = np.empty((count, n, 2, P.N), self.dtype)
        jac[..., P.EXPRESSION] = rest @ self.expr
        jac[..., P.EYELIDS] = rest @ self.lids.transpose(1, 2, 0)
        jac[..., P.JAW.start : P.EYES.stop] = 0
        left = rotations.left_jacobian(posed.r)  # (F,3,3,3)
        for k, (start, free) in enumerate(FREE):
            ids = self.moved[k]
            turn = -rotations.skew(posed.about[k]) @ left[:, None, k, :, :free]
            w = self.weights[ids, MOVING[k], None, None]
            jac[:, ids, :, start : start + free] = body[:, ids] @ (w * turn)
            if self.posedirs is not None:
                slope = self._rotation_slope(posed, left, k)[..., :free]  # (F,9,free)
                dv = np.einsum("plc,fpk->flck", self.posedirs[k], slope)
                jac[..., start : start + free] += rest @ dv
        turn = -rotations.skew(posed.turned) @ rotations.left_jacobian(p[:, P.ROTATION])[:, None]
        jac[..., P.ROTATION] = view @ turn
        jac[..., P.TRANSLATION] = view
        if not with_shape:
            return posed.uv, jac

        shape = np.empty((count, n, 2, N_SHAPE + 1), self.dtype)
        shape[..., :N_SHAPE] = rest @ self.shapedirs
        eye3 = np.eye(3, dtype=self.dtype)
        for k, j in enumerate(MOVING):  # the joints move with the shape too: w (I - R) dJ
            ids = self.moved[k]
            slide = self.weights[ids, j, None, None] * (eye3 - posed.rot[:, None, k])
            shape[:, ids, :, :N_SHAPE] += body[:, ids] @ slide @ self.model.joint_shapedirs[j].astype(self.dtype)
        shape[..., N_SHAPE] = posed.uv - self.centre
        return posed.uv, jac, shape

    def _pose(self, p: np.ndarray) -> _Posed:
        count = len(p)
        r = np.stack([p[:, P.JAW], *P.eye_pose(p).reshape(-1, 2, 3).swapaxes(0, 1)], 1)
        rot = rotations.matrix_from_axis_angle(r)
        v = self.neutral + (p[:, P.EXPRESSION] @ self.expr.reshape(-1, 100).T).reshape(count, -1, 3)
        v += np.tensordot(p[:, P.EYELIDS], self.lids, 1)
        if self.posedirs is not None:
            feature = (rot - np.eye(3, dtype=self.dtype)).reshape(count, 27)
            v += (feature @ self.posedirs.reshape(27, -1)).reshape(v.shape)
        x, about = v.copy(), []
        for k, j in enumerate(MOVING):
            ids = self.moved[k]
            about.append((v[:, ids] - self.joints[k]) @ rot[:, k].swapaxes(1, 2))
            x[:, ids] += self.weights[ids, j, None] * (about[-1] + self.joints[k] - v[:, ids])
        camera_rot, t = P.camera(p)
        turned = x @ camera_rot.swapaxes(1, 2)
        seen = turned + t[:, None]
        seen[..., 2] = np.maximum(seen[..., 2], 0.05)  # a wild step must not put the face behind the camera
        uv = self.focal * seen[..., :2] / seen[..., 2:] + self.centre
        return _Posed(r, rot, about, turned, camera_rot, seen, uv)

    def _view(self, posed: _Posed) -> np.ndarray:
        near = self.focal / posed.seen[..., 2]
        view = np.zeros((*near.shape, 2, 3), self.dtype)
        view[..., 0, 0] = view[..., 1, 1] = near
        view[..., 2] = -(posed.uv - self.centre) / posed.seen[..., 2:]
        return view

    def _blend(self, rot: np.ndarray) -> np.ndarray:
        w = self.weights[:, list(MOVING)]
        still = (1 - w.sum(1))[:, None, None] * np.eye(3, dtype=self.dtype)
        return still + np.tensordot(rot, w, ([1], [1])).transpose(0, 3, 1, 2)

    def _rotation_slope(self, posed: _Posed, left: np.ndarray, k: int) -> np.ndarray:
        """d vec(R_k) / d axis-angle, (F,9,3): dR = skew(J_l dr) R."""
        turns = rotations.skew(left[:, k].swapaxes(1, 2))  # (F,3 components,3,3)
        return (turns @ posed.rot[:, None, k]).reshape(-1, 3, 9).swapaxes(1, 2)
