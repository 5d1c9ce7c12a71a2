"""A head of our own for tests: random smooth bases over a FLAME-like set of joints, and a course of parameters."""

import numpy as np

from avatarmake.head_model.model import N_EXPRESSION, N_SHAPE, HeadModel
from stages.track import parameters as P


def head(landmarks: int = 478, posedirs: bool = False, seed: int = 0) -> HeadModel:
    """A face of `landmarks` vertices, each one landmark (MediaPipe's numbers 0..landmarks-1); metres."""
    rng = np.random.default_rng(seed)
    i = np.arange(landmarks) + 0.5
    polar, turn = np.arccos(1 - i / landmarks * 0.9), np.pi * (1 + 5**0.5) * i  # a cap around +z
    d = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], 1)
    template = d * (0.075, 0.11, 0.095)
    template[:, 2] += 0.025 * np.exp(-((d - (0, -0.1, 1)) ** 2).sum(1) / 0.05)

    def basis(count, amplitude, decay):
        out = np.zeros((landmarks, 3, count))
        for k in range(count):
            wave = rng.normal(size=(4, 3))
            wave *= (1.5 + 5 * k / count) / np.linalg.norm(wave, axis=1, keepdims=True)
            bumps = np.sin(d @ wave.T + rng.uniform(0, 6.28, 4)) @ rng.normal(size=(4, 3))
            out[:, :, k] = bumps * amplitude * decay**k / np.sqrt((bumps**2).sum(1).mean())
        return out

    weights, lids = np.zeros((landmarks, 5)), np.zeros((2, landmarks, 3))
    weights[:, 2] = 1 / (1 + np.exp((d[:, 1] + 0.35) * 25))
    for side, sign in ((0, 1), (1, -1)):
        to_eye = ((d - np.array([0.35 * sign, 0.25, 0.9])) ** 2).sum(1)
        weights[:, 3 + side] = to_eye < 0.01
        lid = (to_eye >= 0.01) & (to_eye < 0.06) & (d[:, 1] > 0.25)
        lids[side, lid] = (0, -0.01, 0.001)
    weights[:, 2] *= weights[:, 3:].sum(1) == 0
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    joints = np.array([[0, -0.1, -0.02], [0, -0.06, -0.02], [0, -0.01, 0], [0.032, 0.025, 0.07], [-0.032, 0.025, 0.07]])
    shapedirs = basis(N_SHAPE, 0.004, 0.985)
    near = [np.argsort(((template - j) ** 2).sum(1))[:30] for j in joints]
    f32 = {
        "v_template": template,
        "shapedirs": shapedirs,
        "exprdirs": basis(N_EXPRESSION, 0.003, 0.97),
        "posedirs": rng.normal(size=(36, landmarks, 3)) * 0.002 * posedirs,
        "joint_template": joints,
        "joint_shapedirs": np.stack([shapedirs[n].mean(0) for n in near]),
        "weights": weights,
        "eyeliddirs": lids,
        "landmark_weights": np.tile([1.0, 0, 0], (landmarks, 1)),
        "uv": np.zeros((0, 3, 2)),
    }
    ids = np.arange(landmarks, dtype=np.int32)
    return HeadModel(
        name="synthetic",
        faces=np.zeros((0, 3), np.int32),
        parents=np.array([-1, 0, 1, 1, 1]),
        landmark_ids=ids,
        landmark_vertices=np.repeat(ids[:, None], 3, 1),
        **{k: v.astype(np.float32) for k, v in f32.items()},
    )


def course(count: int, seed: int = 1) -> np.ndarray:
    """(count,115) parameters of a lively head at 25 frames a second, blinking every two seconds."""
    rng = np.random.default_rng(seed)
    t = np.arange(count)[:, None] / 25

    def waves(n, hertz, size):
        slow = np.sin(6.28 * (hertz * rng.uniform(0.5, 1.5, n) * t + rng.uniform(0, 1, n)))
        return size * (slow + 0.4 * np.sin(6.28 * (2.7 * hertz * t + rng.uniform(0, 1, n))))

    p = np.zeros((count, P.N))
    p[:, P.EXPRESSION] = waves(100, 0.6, 0.5)
    p[:, P.JAW] = waves(3, 0.9, (0.12, 0.01, 0.01))
    p[:, P.JAW.start] = np.abs(p[:, P.JAW.start])
    p[:, P.EYES] = np.tile(waves(2, 0.4, 0.12), 2)
    p[:, P.EYELIDS] = np.exp(-(((t + 0.5) % 2 - 1) ** 2) / 0.005)
    p[:, P.ROTATION] = waves(3, 0.15, 0.2)
    p[:, P.TRANSLATION] = waves(3, 0.1, 0.015) + (0, 0, 0.8)
    return p
