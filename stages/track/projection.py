"""Parameters -> landmarks in the image, with the analytic Jacobian.

The head model's formula (avatarmake/head_model) at the landmarks only, for a head whose root and neck do not move (all
rigid motion is the camera's): x = sum_j w_j (R_j (v - J_j) + J_j), then y = R (x - pivot) + t, and
uv = f y_xy / y_z + centre. The pivot is between the outer corners of the eyes: a head that turns stays in its place,
wherever the model has its origin. (parameters.camera gives the camera of the model's own coordinates.)

A landmark may be a mixture of several of the reduced model's vertices, "parts" here (HeadModel.at_landmarks): M of
them, the first L each landmark's first, every further one with its owner. The open head has no further ones.
"""

from dataclasses import dataclass

import numpy as np

from avatarmake.geometry import rotations
from avatarmake.head_model.model import JAW as JAW_JOINT
from avatarmake.head_model.model import LEFT_EYE, N_SHAPE, RIGHT_EYE, HeadModel
from stages.track import parameters as P
from stages.track.points import OUTER_CORNERS

MOVING = (JAW_JOINT, LEFT_EYE, RIGHT_EYE)
# each moving joint: where its axis-angle lies in the vector, and how many of its components are free
FREE = ((P.JAW.start, 3), (P.EYES.start, 2), (P.EYES.start + 2, 2))


@dataclass
class Posed:
    """What the Jacobian needs again. F frames, L landmarks, M parts; the second axis of r and rot: the moving joint."""

    r: np.ndarray  # (F,3,3) axis-angle
    rot: np.ndarray  # (F,3,3,3)
    about: list  # per moving joint: R_j (v - J_j) of its parts, (F,n,3)
    turned: np.ndarray  # (F,L,3) R (x - pivot): camera coordinates before the translation
    camera_rot: np.ndarray  # (F,3,3)
    seen: np.ndarray  # (F,L,3) camera coordinates
    uv: np.ndarray  # (F,L,2) px


def pivot(model: HeadModel) -> np.ndarray:
    """(3,) the middle between the outer corners of the eyes, of the mean head; the origin where they are unknown."""
    ids = np.array([np.flatnonzero(model.landmark_ids == i) for i in OUTER_CORNERS], dtype=object)
    if any(len(i) == 0 for i in ids):
        return np.zeros(3)
    marks = model.landmarks(model.v_template[None].astype(np.float64))[0]
    return np.round(np.mean([marks[i[0]] for i in ids], 0), 4)


def _owners(model: HeadModel, dtype) -> tuple[np.ndarray, np.ndarray]:
    """The landmark of each part beyond the first L, (M-L,), and the share that each part has in its landmark, (M,)."""
    rows, slots = np.nonzero(model.landmark_weights)
    part, share = model.landmark_vertices[rows, slots], model.landmark_weights[rows, slots]
    order = np.argsort(part, kind="stable")
    count = len(model.landmark_ids)
    assert np.array_equal(part[order], np.arange(len(model.v_template))), "a model reduced to its landmarks"
    assert np.array_equal(rows[order][:count], np.arange(count))
    return rows[order][count:], share[order].astype(dtype)


class Projection:
    """One head model at L landmarks; `shape` (300,) and `focal` (px) are constants of a video."""

    def __init__(
        self, model: HeadModel, shape: np.ndarray, focal: float, image_size: tuple, dtype=np.float32, about=None
    ):
        """`about` (3,): the pivot, where it is not that of these landmarks."""
        self.model, self.dtype = model, dtype
        self.centre = np.array(image_size, dtype) / 2
        self.expr = model.exprdirs.astype(dtype)  # (M,3,100)
        self.lids = model.eyeliddirs.astype(dtype)  # (2,M,3)
        self.shapedirs = model.shapedirs.astype(dtype)
        self.weights = model.weights.astype(dtype)
        pose = model.posedirs[9:].reshape(3, 9, -1, 3).astype(dtype)  # of jaw and eyes; the neck's are never used
        self.posedirs = pose if pose.any() else None
        self.moved = [np.flatnonzero(model.weights[:, j]) for j in MOVING]
        self.count = len(model.landmark_ids)
        self.owner, self.share = _owners(model, dtype)
        self.pivot = (pivot(model) if about is None else np.asarray(about)).astype(dtype)
        self.set(shape, focal)

    def set(self, shape: np.ndarray, focal: float) -> None:
        self.shape, self.focal = np.asarray(shape, self.dtype), self.dtype(focal)
        self.parts = self.model.v_template.astype(self.dtype) + self.shapedirs @ self.shape  # (M,3)
        self.neutral = self._mixed(self.parts[None])[0]  # (L,3)
        joints = self.model.joint_template + self.model.joint_shapedirs.astype(self.dtype) @ self.shape
        self.joints = joints[list(MOVING)].astype(self.dtype)  # (3,3)

    def uv(self, p: np.ndarray) -> np.ndarray:
        """p (F,115) -> (F,L,2) px."""
        return self.pose(p).uv

    def pose(self, p: np.ndarray) -> Posed:
        """p (F,115) -> where everything then is, for `along`."""
        count = len(p)
        r = np.stack([p[:, P.JAW], *P.eye_pose(p).reshape(-1, 2, 3).swapaxes(0, 1)], 1)
        rot = rotations.matrix_from_axis_angle(r)
        v = self.parts + (p[:, P.EXPRESSION] @ self.expr.reshape(-1, 100).T).reshape(count, -1, 3)
        v += np.tensordot(p[:, P.EYELIDS], self.lids, 1)
        if self.posedirs is not None:
            feature = (rot - np.eye(3, dtype=self.dtype)).reshape(count, 27)
            v += (feature @ self.posedirs.reshape(27, -1)).reshape(v.shape)
        x, about = v.copy(), []
        for k, j in enumerate(MOVING):
            ids = self.moved[k]
            about.append((v[:, ids] - self.joints[k]) @ rot[:, k].swapaxes(1, 2))
            x[:, ids] += self.weights[ids, j, None] * (about[-1] + self.joints[k] - v[:, ids])
        camera_rot = P.camera_rotation(p)
        turned = (self._mixed(x) - self.pivot) @ camera_rot.swapaxes(1, 2)
        seen = turned + p[:, None, P.TRANSLATION]
        seen[..., 2] = np.maximum(seen[..., 2], 0.05)  # a wild step must not put the face behind the camera
        uv = self.focal * seen[..., :2] / seen[..., 2:] + self.centre
        return Posed(r, rot, about, turned, camera_rot, seen, uv)

    def uv_jacobian(self, p: np.ndarray, with_shape: bool = False):
        """-> uv (F,L,2), J (F,L,2,115), and with_shape (F,L,2,301): shape, then log focal."""
        posed = self.pose(p)
        view = self._view(posed)
        if not with_shape:
            return posed.uv, self._jacobian(p, posed, view)
        return posed.uv, self._jacobian(p, posed, view), self._shape_jacobian(posed, view)

    def along(self, p: np.ndarray, posed: Posed, way: np.ndarray) -> np.ndarray:
        """How far each landmark moves along `way` (F,L,2) in the image, by p: (F,L,115). `posed` is pose(p).

        With a picture's gradient for `way` it says how what is seen there changes.
        """
        return self._jacobian(p, posed, way[..., None, :] @ self._view(posed))[..., 0, :]

    def _jacobian(self, p: np.ndarray, posed: Posed, view: np.ndarray) -> np.ndarray:
        """(F,L,R,115) of R quantities a landmark, whose slopes by its camera coordinates are view (F,L,R,3)."""
        frames, rows = len(view), view.shape[2]
        body = self._of_parts(view @ posed.camera_rot[:, None])  # (F,M,R,3): by the posed part
        rest = body @ self._blend(posed.rot)  # by the part at rest

        jac = np.zeros((frames, len(self.weights), rows, P.N), self.dtype)  # all of it is summed: none may be unset
        jac[..., P.EXPRESSION] = rest @ self.expr
        jac[..., P.EYELIDS] = rest @ self.lids.transpose(1, 2, 0)
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
        jac = self._summed(jac) if len(self.owner) else jac
        turn = -rotations.skew(posed.turned) @ rotations.left_jacobian(p[:, P.ROTATION])[:, None]
        jac[..., P.ROTATION] = view @ turn
        jac[..., P.TRANSLATION] = view
        return jac

    def _shape_jacobian(self, posed: Posed, view: np.ndarray) -> np.ndarray:
        """(F,L,2,301) of uv, by shape and log focal."""
        body = self._of_parts(view @ posed.camera_rot[:, None])
        shape = np.zeros((*body.shape[:3], N_SHAPE + 1), self.dtype)
        shape[..., :N_SHAPE] = body @ self._blend(posed.rot) @ self.shapedirs
        eye3 = np.eye(3, dtype=self.dtype)
        for k, j in enumerate(MOVING):  # the joints move with the shape too: w (I - R) dJ
            ids = self.moved[k]
            slide = self.weights[ids, j, None, None] * (eye3 - posed.rot[:, None, k])
            shape[:, ids, :, :N_SHAPE] += body[:, ids] @ slide @ self.model.joint_shapedirs[j].astype(self.dtype)
        shape = self._summed(shape) if len(self.owner) else shape
        shape[..., N_SHAPE] = posed.uv - self.centre
        return shape

    def _mixed(self, x: np.ndarray) -> np.ndarray:
        """Parts (F,M,3) -> landmarks (F,L,3)."""
        return self._summed(x * self.share[:, None]) if len(self.owner) else x

    def _of_parts(self, body: np.ndarray) -> np.ndarray:
        """d / d landmark (F,L,2,3) -> d / d part (F,M,2,3)."""
        if not len(self.owner):
            return body
        return np.concatenate([body, body[:, self.owner]], 1) * self.share[:, None, None]

    def _summed(self, x: np.ndarray) -> np.ndarray:
        """(F,M,...) -> (F,L,...): the further parts of a landmark are added to its first."""
        out = x[:, : self.count]
        for slot in range(1, self.model.landmark_vertices.shape[1]):  # an owner is there once in each
            has = np.flatnonzero(self.model.landmark_weights[:, slot])
            out[:, has] += x[:, self.model.landmark_vertices[has, slot]]
        return out

    def _view(self, posed: Posed) -> np.ndarray:
        near = self.focal / posed.seen[..., 2]
        view = np.zeros((*near.shape, 2, 3), self.dtype)
        view[..., 0, 0] = view[..., 1, 1] = near
        view[..., 2] = -(posed.uv - self.centre) / posed.seen[..., 2:]
        return view

    def _blend(self, rot: np.ndarray) -> np.ndarray:
        w = self.weights[:, list(MOVING)]
        still = (1 - w.sum(1))[:, None, None] * np.eye(3, dtype=self.dtype)
        return still + np.tensordot(rot, w, ([1], [1])).transpose(0, 3, 1, 2)

    def _rotation_slope(self, posed: Posed, left: np.ndarray, k: int) -> np.ndarray:
        """d vec(R_k) / d axis-angle, (F,9,3): dR = skew(J_l dr) R."""
        turns = rotations.skew(left[:, k].swapaxes(1, 2))  # (F,3 components,3,3)
        return (turns @ posed.rot[:, None, k]).reshape(-1, 3, 9).swapaxes(1, 2)
