"""The head model: FLAME's own format, whether the licensed FLAME or our open head fills it.

    vertices = skin(v_template + shapedirs shape + exprdirs expression + eyeliddirs eyelids + posedirs (R - I), R)

World axes: x to the subject's left, y up, z out of the face; metres. Joints: root, neck, jaw, left eye, right eye
(the subject's). Formula: FLAME (Li et al., SIGGRAPH Asia 2017), linear blend skinning as in SMPL; eyelids as in
metrical-tracker (Zielonka et al., ECCV 2022).
"""

import hashlib
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np

from avatarmake.geometry import rotations

JOINTS = ("root", "neck", "jaw", "left_eye", "right_eye")
ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
N_SHAPE, N_EXPRESSION = 300, 100
REGIONS = (
    "face",  # facial skin, without lips and eyeballs
    "scalp",  # where hair grows
    "ears",
    "neck",  # bare neck, down to where clothes may begin
    "shoulders",  # clothed: never part of neckhead
    "lips",
    "mouth",  # the mouth's cavity: teeth, gums, tongue
    "left_eyeball",
    "right_eyeball",
)


@dataclass(frozen=True, eq=False)
class HeadModel:
    """All arrays float32 (indices int32). V vertices, F faces, L landmarks, J = 5 joints."""

    name: str  # "open" or "flame"
    v_template: np.ndarray  # (V,3) metres
    faces: np.ndarray  # (F,3) counter-clockwise seen from outside
    shapedirs: np.ndarray  # (V,3,300)
    exprdirs: np.ndarray  # (V,3,100)
    posedirs: np.ndarray  # (36, V,3): rows follow (R_j - I) of joints 1..4, row-major; all zero for the open head
    joint_template: np.ndarray  # (5,3) joints at shape 0
    joint_shapedirs: np.ndarray  # (5,3,300) how the joints move with shape
    parents: np.ndarray  # (5,) -1 for the root
    weights: np.ndarray  # (V,5) skinning weights, rows sum to 1
    eyeliddirs: np.ndarray  # (2, V,3): displacement that closes the subject's left, right eye
    landmark_ids: np.ndarray  # (L,) MediaPipe's number (0..477) of each embedded landmark
    landmark_vertices: np.ndarray  # (L,3) vertex ids of the triangle it lies in; (L,K) where reduced to landmarks
    landmark_weights: np.ndarray  # (L,3) barycentric; (L,K)
    uv: np.ndarray  # (F,3,2) per face corner, in [0,1], v down
    regions: dict = field(default_factory=dict)  # name in REGIONS -> (F,) bool
    sources: dict = field(default_factory=dict)  # what -> where it came from, in words; no part of the digest

    @property
    def digest(self) -> str:
        """sha256 over every array: parameters mean nothing without the model they were solved for."""
        h = hashlib.sha256(self.name.encode())
        for f in fields(self):
            value = getattr(self, f.name)
            items = sorted(value.items()) if isinstance(value, dict) else [(f.name, value)]
            for key, array in items:
                if isinstance(array, np.ndarray):
                    h.update(f"{key}{array.dtype}{array.shape}".encode())
                    h.update(np.ascontiguousarray(array).tobytes())
        return h.hexdigest()

    def joints(self, shape: np.ndarray) -> np.ndarray:
        """shape (300,) -> (5,3) joint positions."""
        return self.joint_template + self.joint_shapedirs @ shape.astype(np.float32)

    def identity(self, shape: np.ndarray) -> np.ndarray:
        """shape (300,) -> (V,3): the neutral head of this person, computed once per video."""
        return self.v_template + self.shapedirs @ shape.astype(np.float32)

    def vertices(
        self,
        shape: np.ndarray,
        expression: np.ndarray | None = None,
        jaw_pose: np.ndarray | None = None,
        eye_pose: np.ndarray | None = None,
        eyelids: np.ndarray | None = None,
        neck_pose: np.ndarray | None = None,
        head_pose: np.ndarray | None = None,
        identity: np.ndarray | None = None,
    ) -> np.ndarray:
        """One shape (300,), N frames of the rest -> (N,V,3) float32.

        expression (N,100), jaw_pose (N,3), eye_pose (N,6) left first, eyelids (N,2) left, right (0 open, 1 closed),
        neck_pose, head_pose (N,3), all axis-angle in radians; what is None is zero. `identity` may pass
        `self.identity(shape)` again to spare its product.
        """
        given = [a for a in (expression, jaw_pose, eye_pose, eyelids, neck_pose, head_pose) if a is not None]
        n = len(given[0]) if given else 1
        joints = self.joints(shape)
        v = np.repeat((self.identity(shape) if identity is None else identity)[None], n, 0)
        if expression is not None:
            flat = self.exprdirs.reshape(-1, self.exprdirs.shape[-1])
            v += (np.asarray(expression, np.float32) @ flat.T).reshape(n, -1, 3)
        if eyelids is not None:
            v += np.einsum("ne,evc->nvc", np.asarray(eyelids, np.float32), self.eyeliddirs)
        r = np.zeros((n, 5, 3), np.float32)
        for joint, pose in ((ROOT, head_pose), (NECK, neck_pose), (JAW, jaw_pose)):
            if pose is not None:
                r[:, joint] = pose
        if eye_pose is not None:
            r[:, LEFT_EYE], r[:, RIGHT_EYE] = np.asarray(eye_pose)[:, :3], np.asarray(eye_pose)[:, 3:]
        rot = rotations.matrix_from_axis_angle(r)
        if self.posedirs.any():
            feature = (rot[:, 1:] - np.eye(3, dtype=np.float32)).reshape(n, 36)
            v += np.einsum("np,pvc->nvc", feature, self.posedirs)
        world_r, world_t = self._chain(rot, joints)
        # skinned = sum_j w_j (R_j v + t_j), one joint at a time: (N,V,3) is all it needs
        out = np.zeros_like(v)
        for j in range(5):
            moved = self.weights[:, j] > 0
            if moved.any():
                out[:, moved] += self.weights[moved, j, None] * (
                    v[:, moved] @ world_r[:, j].transpose(0, 2, 1) + world_t[:, j, None]
                )
        return out

    def _chain(self, rot: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kinematic chain: local rotations (N,5,3,3) -> world R (N,5,3,3) and t (N,5,3) acting on rest vertices."""
        world_r, world_t = np.empty_like(rot), np.empty(rot.shape[:2] + (3,), rot.dtype)
        # not by BLAS, which rounds such small products otherwise on one kind of processor than on another
        still = joints - np.einsum("njab,jb->nja", rot, joints)
        for j, parent in enumerate(self.parents):
            if parent < 0:
                world_r[:, j], world_t[:, j] = rot[:, j], still[:, j]
            else:
                world_r[:, j] = np.einsum("nab,nbc->nac", world_r[:, parent], rot[:, j])
                world_t[:, j] = np.einsum("nab,nb->na", world_r[:, parent], still[:, j]) + world_t[:, parent]
        return world_r, world_t

    def landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """vertices (N,V,3) -> (N,L,3), in the order of `landmark_ids`."""
        if (self.landmark_weights[:, 0] == 1).all():
            return vertices[..., self.landmark_vertices[:, 0], :]
        corners = vertices[..., self.landmark_vertices, :]
        return (corners * self.landmark_weights[..., None]).sum(-2)

    def at_landmarks(self, landmark_ids: np.ndarray) -> "HeadModel":
        """The same model seen at these MediaPipe landmarks only: the tracker then never poses the whole mesh. Exact.

        Vertex i is landmark i, where it lies on a vertex, or in a triangle whose corners all follow the joints alike.
        Elsewhere a landmark is a mixture of K "vertices", one for each joint that moves a part of it: with barycentric
        b_k, skinning weights w_kj and x_k = sum_j w_kj (R_j v_k + t_j),

            sum_k b_k x_k = sum_j c_j (R_j u_j + t_j),   c_j = sum_k b_k w_kj,   u_j = sum_k b_k w_kj v_k / c_j.

        Its first part is vertex i, and the others come after all landmarks' first ones; `landmarks` puts them together.
        Raises KeyError for a landmark the model does not embed.
        """
        where = {int(i): k for k, i in enumerate(self.landmark_ids)}
        rows = np.array([where[int(i)] for i in landmark_ids])
        parts = _parts(self.weights, self.landmark_vertices[rows], self.landmark_weights[rows])

        def mix(a: np.ndarray) -> np.ndarray:  # (V, ...) -> (M, ...)
            return np.einsum("mk,mk...->m...", parts.mixture, a[parts.corners]).astype(np.float32)

        return HeadModel(
            name=self.name,
            v_template=mix(self.v_template),
            faces=np.zeros((0, 3), np.int32),
            shapedirs=mix(self.shapedirs),
            exprdirs=mix(self.exprdirs),
            posedirs=np.stack([mix(p) for p in self.posedirs]),
            joint_template=self.joint_template,
            joint_shapedirs=self.joint_shapedirs,
            parents=self.parents,
            weights=parts.skinning,
            eyeliddirs=np.stack([mix(e) for e in self.eyeliddirs]),
            landmark_ids=np.asarray(landmark_ids, np.int32),
            landmark_vertices=parts.vertices,
            landmark_weights=parts.shares,
            uv=np.zeros((0, 3, 2), np.float32),
            sources=self.sources,
        )

    def vertex_region(self, name: str) -> np.ndarray:
        """(V,) bool: the vertices of the faces of a region."""
        mask = np.zeros(len(self.v_template), bool)
        mask[self.faces[self.regions[name]].ravel()] = True
        return mask


class _Parts(NamedTuple):
    """What landmarks are mixed of, see `HeadModel.at_landmarks`: M parts of L landmarks."""

    corners: np.ndarray  # (M,3) vertex ids
    mixture: np.ndarray  # (M,3) of the corners, sums to 1
    skinning: np.ndarray  # (M,5) float32
    vertices: np.ndarray  # (L,K) int32: the parts of each landmark
    shares: np.ndarray  # (L,K) float32


def _parts(weights: np.ndarray, corners: np.ndarray, barycentric: np.ndarray) -> _Parts:
    """weights (V,5), corners (L,3), barycentric (L,3)."""
    n = len(corners)
    skinning = weights[corners].astype(np.float64)  # (L,3,5)
    first = skinning[np.arange(n), barycentric.argmax(1)]
    alike = ((skinning == first[:, None]) | (barycentric == 0)[..., None]).all((1, 2))
    of_joint = barycentric[..., None] * skinning
    share = of_joint.sum(1)  # (L,5): c_j
    share[share < 1e-6] = 0
    share[alike] = 0
    main = np.where(alike, 0, share.argmax(1))
    extra_of, extra = np.nonzero(share * (np.arange(5) != main[:, None]))
    owner, joint = np.concatenate([np.arange(n), extra_of]), np.concatenate([main, extra])
    mixture = of_joint[owner, :, joint]
    mixture[:n][alike] = barycentric[alike]
    rows = np.eye(5)[joint]
    rows[:n][alike] = first[alike]
    slot = np.concatenate([np.zeros(n, int), 1 + np.arange(len(extra)) - np.searchsorted(extra_of, extra_of)])
    vertices = np.repeat(np.arange(n, dtype=np.int32)[:, None], slot.max(initial=0) + 1, 1)
    shares = np.zeros(vertices.shape, np.float32)
    vertices[owner, slot] = np.arange(len(owner))
    part = np.where(alike[owner], 1, share[owner, joint])
    shares[owner, slot] = part / np.bincount(owner, part)[owner]
    return _Parts(corners[owner], mixture / mixture.sum(1, keepdims=True), rows.astype(np.float32), vertices, shares)
