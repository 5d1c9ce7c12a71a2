"""Reads avatar.npz, version 1, and poses it: numpy alone. docs/conventions.md says what the arrays are.

    a = np.load("avatar.npz")
    means, axes, opacities, colours = gaussians(a, expression, jaw_pose, eye_pose, eyelids, view)

expression (100,), jaw_pose (3,), eye_pose (6,), eyelids (2,), view (3,): how the head is turned to the light, zero when
it looks into it. -> means (N,3) metres; axes (N,3,3), columns are principal axes times standard deviation; opacities
(N,) in 0..1; colours (N,3), not held within 0..1.
"""

import numpy as np


def rotation(r):
    """(3,) axis times angle -> (3,3)."""
    angle = np.linalg.norm(r)
    x, y, z = r / max(angle, 1e-12)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def mesh(a, expression, jaw_pose, eye_pose, eyelids):
    """-> (V,3): the head that Gaussians stand on."""
    v = a["rest"].astype(np.float64)
    v[: a["basis"].shape[1]] += np.tensordot(np.concatenate([expression, eyelids]), a["basis"], 1)
    local = [np.eye(3), np.eye(3), rotation(jaw_pose), rotation(eye_pose[:3]), rotation(eye_pose[3:])]
    turns, shifts = [], []
    for j, parent in enumerate(a["parents"]):
        turn, shift = local[j], a["joints"][j] - local[j] @ a["joints"][j]
        if parent >= 0:
            turn, shift = turns[parent] @ turn, turns[parent] @ shift + shifts[parent]
        turns.append(turn)
        shifts.append(shift)
    return sum(a["skinning"][:, j, None] * (v @ turns[j].T + shifts[j]) for j in range(5))


def learned(a, expression, jaw_pose, eye_pose, eyelids, view):
    """-> (N,14): what the network says of each Gaussian."""
    raw = np.concatenate([expression, jaw_pose, eye_pose, eyelids, view]) * a["units"]
    code = np.clip(a["components"] @ (raw - a["mean"]), *a["range"])
    layer = a["layer_weight"] @ np.maximum(a["hidden_weight"] @ code + a["hidden_bias"], 0) + a["layer_bias"]
    rank, width = a["latent"].shape[1], len(a["out"])
    weights, bias = layer[: rank * width].reshape(rank, width), layer[rank * width :]
    return a["base"] + np.maximum(a["latent"] @ weights + bias, 0) @ a["out"]


def gaussians(a, expression, jaw_pose, eye_pose, eyelids, view):
    p = mesh(a, expression, jaw_pose, eye_pose, eyelids)[a["corners"]]
    edge, normal = p[:, 1] - p[:, 0], np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    edge, normal = (u / np.linalg.norm(u, axis=1, keepdims=True) for u in (edge, normal))
    frame = np.stack([edge, np.cross(normal, edge), normal], 2)
    x, spacing = learned(a, expression, jaw_pose, eye_pose, eyelids, view) * a["step"], a["spacing"][:, None]
    w, i, j, k = ((x[:, 3:7] + [1, 0, 0, 0]) / np.linalg.norm(x[:, 3:7] + [1, 0, 0, 0], axis=1, keepdims=True)).T
    rows = [1 - 2 * (j * j + k * k), 2 * (i * j - w * k), 2 * (i * k + w * j), 2 * (i * j + w * k)]
    rows += [1 - 2 * (i * i + k * k), 2 * (j * k - w * i), 2 * (i * k - w * j), 2 * (j * k + w * i)]
    turn = np.stack([*rows, 1 - 2 * (i * i + j * j)], 1).reshape(-1, 3, 3)
    scale = spacing * np.exp(np.clip(a["start_scale"] + x[:, 7:10], *a["log_scale"]))
    means = (p * a["weights"][..., None]).sum(1) + (frame @ (x[:, :3] * spacing)[..., None])[..., 0]
    opacities = 1 / (1 + np.exp(-(a["start_opacity"] + x[:, 10])))
    return means, frame @ turn * scale[:, None], opacities, 0.5 + x[:, 11:14]
