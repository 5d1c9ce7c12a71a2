"""The portrait that the demo subject wears, and how the open head is fitted to it.

    python -m stages.demo.portrait        detects and fits again (needs the detector's environment)

The picture is scikit-image's `astronaut.png`: Eileen Collins, NASA, in the public domain; it comes with the package.
Its landmarks are kept in portrait_landmarks.csv, so that making the demo needs no detector. The open head that was
fitted to them is in portrait_fit.csv: the last bits of a solution differ between processors, and who acts must not.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatarmake.errors import Exit, StageError
from avatarmake.geometry import cameras, rotations
from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.bases import SYMMETRIC_SHAPES
from avatarmake.head_model.model import HeadModel

LANDMARKS = Path(__file__).parent / "portrait_landmarks.csv"  # 0.01 px
FITTED = Path(__file__).parent / "portrait_fit.csv"  # 0.0001 of each unknown
NOISE = 0.4  # px: how far the detector may be off in the portrait
FOCAL = 1500.0  # px of the 512 x 512 picture: a portrait lens
# one standard deviation of jaw (3), eyes (6), lids (2): expression and shape have 1
SPREAD = np.array([0.1, 0.02, 0.02, 0.2, 0.2, 0.01, 0.2, 0.2, 0.01, 0.3, 0.3])


@dataclass
class Fit:
    """The head in the portrait's pose."""

    shape: np.ndarray  # (300,)
    expression: np.ndarray  # (100,)
    jaw_pose: np.ndarray  # (3,)
    eye_pose: np.ndarray  # (6,)
    eyelids: np.ndarray  # (2,)
    r: np.ndarray  # (3,3) OpenCV world-to-camera
    t: np.ndarray  # (3,)
    intrinsics: np.ndarray  # (3,3)

    def vertices(self, model: HeadModel) -> np.ndarray:
        """(V,3) in the pose of the portrait."""
        poses = (self.expression, self.jaw_pose, self.eye_pose, self.eyelids)
        return model.vertices(self.shape, *(p[None] for p in poses))[0]


def portrait() -> np.ndarray:
    """(512,512,3) uint8. Raises StageError when scikit-image is not installed."""
    from PIL import Image

    spec = importlib.util.find_spec("skimage")
    if spec is None:
        raise StageError(
            "the portrait is not there: scikit-image is not installed",
            next="Run the stage in its environment: make demo",
            exit=Exit.ENVIRONMENT,
        )
    path = Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"  # read without importing the package
    return np.asarray(Image.open(path).convert("RGB"))


def landmarks() -> np.ndarray:
    """(478,2) px of the portrait, pixel centres at +0.5."""
    return np.loadtxt(LANDMARKS, delimiter=",") / 100


def fit(size: int = 512) -> Fit:
    """The open head in the portrait."""
    shape, expression, jaw, eyes, lids, turn, t = split(np.loadtxt(FITTED, delimiter=",") / 1e4)
    parts = [p.astype(np.float32) for p in (shape, expression, jaw, eyes, lids)]
    intrinsics = cameras.intrinsics_from_focal(FOCAL, (size, size))
    return Fit(*parts, cameras.FLIP @ rotations.matrix_from_axis_angle(turn), t, intrinsics)


def solve(model: HeadModel, seen: np.ndarray, size: int = 512, iterations: int = 20) -> np.ndarray:
    """(417,) shape, expression and pose whose landmarks fall on `seen` (478,2): Levenberg-Marquardt, Huber weights."""
    small = model.at_landmarks(np.arange(478))
    intrinsics = cameras.intrinsics_from_focal(FOCAL, (size, size))
    weight = np.ones((478, 1))
    weight[names.FACE_OVAL] = 0.5
    weight /= NOISE
    # one view from aside cannot tell a crooked face from a turned one: call it turned
    crooked = np.arange(300) >= 3 * SYMMETRIC_SHAPES
    prior = np.concatenate([np.where(crooked, 5, 1.5), np.ones(100), 1 / SPREAD, np.zeros(6)])

    def posed(x: np.ndarray, offset=0.0) -> tuple[np.ndarray, np.ndarray]:  # world points, rotation to the camera
        shape, expression, jaw, eyes, lids, turn, _ = split(x)
        poses = (p[None] for p in (expression, jaw, eyes, lids))
        v = small.vertices(shape, *poses, identity=small.identity(shape) + np.float32(offset))[0]
        return v.astype(np.float64), cameras.FLIP @ rotations.matrix_from_axis_angle(turn)

    def residual(x: np.ndarray) -> np.ndarray:
        v, r = posed(x)
        return weight * (cameras.project(v, r, x[-3:], intrinsics) - seen)

    def jacobian(x: np.ndarray, now: np.ndarray) -> np.ndarray:
        v, r = posed(x)
        skinned = np.stack([(posed(x, 0.01 * e)[0] - v) / 0.01 for e in np.eye(3)], -1)  # (L,3,3)
        c = v @ r.T + x[-3:]
        to_pixels = FOCAL / c[:, 2:, None] * (np.eye(3)[:2] - (c / c[:, 2:])[:, :2, None] * np.eye(3)[2])
        dirs = np.concatenate([small.shapedirs, small.exprdirs], -1)
        linear = weight[..., None] * (to_pixels @ r @ skinned @ dirs)
        steps = 1e-3 * np.eye(417)[400:]
        rest = np.stack([(residual(x + s) - now) / 1e-3 for s in steps], -1)
        return np.concatenate([linear, rest], -1).reshape(-1, 417)

    def cost(r: np.ndarray, x: np.ndarray) -> float:
        a = np.abs(r)
        return float(np.where(a < 3, r * r, 6 * a - 9).sum() + ((prior * x) ** 2).sum())

    x = np.zeros(417)
    x[416] = FOCAL * 0.09 / np.linalg.norm(seen[33] - seen[263])
    x[414:416] = (seen[[33, 263]].mean(0) - size / 2) / FOCAL * x[416]
    damping, now = 1e-2, residual(x)
    for _ in range(iterations):
        j, robust = jacobian(x, now), np.minimum(1, 3 / np.maximum(np.abs(now), 1e-9)).reshape(-1, 1)
        hessian = (j * robust).T @ j + np.diag(prior**2)
        gradient = (j * robust).T @ now.ravel() + prior**2 * x
        before = cost(now, x)
        while damping < 1e6:
            new = x - np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), gradient)
            after = residual(new)
            if cost(after, new) < before:
                break
            damping *= 6
        else:
            break
        x, now, damping = new, after, damping / 5
        if before - cost(now, x) < 1e-3 * before:
            break
    return x


def split(x: np.ndarray) -> list[np.ndarray]:
    """(417,) -> shape, expression, jaw, eyes, eyelids, the camera's axis-angle (before FLIP) and translation."""
    return np.split(x, np.cumsum([300, 100, 3, 6, 2, 3]))


def main() -> None:
    """Write portrait_landmarks.csv, the mean over enlarged and turned copies, and portrait_fit.csv."""
    import cv2

    from avatarmake import head_model
    from avatarmake.detection import FaceMesh

    picture, found = portrait(), []
    with FaceMesh(static=True) as mesh:
        for angle in (-8, -4, 0, 4, 8):
            for scale in (2.0, 2.5, 3.0):
                to = cv2.getRotationMatrix2D((220, 130), angle, scale)
                to[:, 2] += 130 * scale - np.array([220, 130])
                side = int(260 * scale)
                to_pixels = to.copy()  # OpenCV counts pixel centres from 0
                to_pixels[:, 2] += to[:, :2] @ [0.5, 0.5] - 0.5
                seen = mesh.detect(cv2.warpAffine(picture, to_pixels, (side, side), flags=cv2.INTER_CUBIC))
                if seen is not None:
                    found.append((seen[:, :2] - to[:, 2]) @ np.linalg.inv(to[:, :2]).T)
    np.savetxt(LANDMARKS, np.rint(np.mean(found, 0) * 100), "%d", ",", header="x, y in 0.01 px of astronaut.png")
    solved = solve(head_model.load("open"), landmarks())
    np.savetxt(FITTED, np.rint(solved[None] * 1e4), "%d", ",", header="split()'s parts in 0.0001, of the open head")
    print(f"{len(found)} copies, spread {np.std(found, 0).mean():.2f} px")


if __name__ == "__main__":
    main()
