"""The head model's formula, on a small random model that fills every term (posedirs and joint motion too)."""

from dataclasses import replace

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.errors import Exit, StageError
from avatarmake.geometry.rotations import matrix_from_axis_angle
from avatarmake.head_model.model import LEFT_EYE, RIGHT_EYE, HeadModel
from tests.rounding import rounding

V, F, L = 40, 30, 12
RNG = np.random.default_rng(3)
# Coordinates of up to 4 are turned and mixed; 450 directions together move a vertex by 0.2.
FLOAT32 = 4 * rounding(20) + 0.2 * rounding(450)


def array(*shape, scale=1.0):
    return (RNG.normal(size=shape) * scale).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    weights = RNG.dirichlet(np.ones(5), V).astype(np.float32)
    bary = RNG.dirichlet(np.ones(3), L).astype(np.float32)
    return HeadModel(
        name="random",
        v_template=array(V, 3),
        faces=RNG.integers(0, V, (F, 3)).astype(np.int32),
        shapedirs=array(V, 3, 300, scale=0.01),
        exprdirs=array(V, 3, 100, scale=0.01),
        posedirs=array(36, V, 3, scale=0.01),
        joint_template=array(5, 3),
        joint_shapedirs=array(5, 3, 300, scale=0.01),
        parents=np.array([-1, 0, 1, 1, 1], np.int32),
        weights=weights,
        eyeliddirs=array(2, V, 3, scale=0.1),
        landmark_ids=np.arange(L, dtype=np.int32) * 3,
        landmark_vertices=RNG.integers(0, V, (L, 3)).astype(np.int32),
        landmark_weights=bary,
        uv=array(F, 3, 2),
        regions={"face": np.arange(F) < 10},
    )


def parameters(n):
    return {
        "expression": array(n, 100),
        "jaw_pose": array(n, 3, scale=0.3),
        "eye_pose": array(n, 6, scale=0.3),
        "eyelids": array(n, 2),
        "neck_pose": array(n, 3, scale=0.3),
        "head_pose": array(n, 3, scale=0.3),
    }


def by_hand(m, shape, p, i):
    """FLAME's formula vertex by vertex with 4x4 matrices, frame i."""
    poses = [p["head_pose"][i], p["neck_pose"][i], p["jaw_pose"][i], p["eye_pose"][i, :3], p["eye_pose"][i, 3:]]
    rot = [matrix_from_axis_angle(r.astype(float)) for r in poses]
    joints = m.joint_template + m.joint_shapedirs @ shape
    world = []
    for j, parent in enumerate(m.parents):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rot[j], joints[j] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    feature = np.concatenate([(r - np.eye(3)).ravel() for r in rot[1:]])
    out = []
    for v in range(V):
        rest = m.v_template[v] + m.shapedirs[v] @ shape + m.exprdirs[v] @ p["expression"][i]
        rest = rest + p["eyelids"][i] @ m.eyeliddirs[:, v] + feature @ m.posedirs[:, v]
        skinned = sum(m.weights[v, j] * (world[j] @ np.append(rest - joints[j], 1))[:3] for j in range(5))
        out.append(skinned)
    return np.array(out)


@pytest.mark.numbers
def test_vertices_follow_the_formula(model):
    shape, p = array(300), parameters(3)
    ours = model.vertices(shape, **p)
    for i in range(3):
        np.testing.assert_allclose(ours[i], by_hand(model, shape, p, i), atol=FLOAT32)


def test_left_eye_comes_first(model):
    """eye_pose[:3] turns joint 3, the subject's left: swapped, the gaze mirrors."""
    pose = np.zeros((1, 6), np.float32)
    pose[0, :3] = 0.3
    moved = np.abs(model.vertices(np.zeros(300), eye_pose=pose) - model.vertices(np.zeros(300))).sum(-1)[0]
    flat = model.__class__(**{**model.__dict__, "posedirs": np.zeros_like(model.posedirs)})
    moved = np.abs(flat.vertices(np.zeros(300), eye_pose=pose) - flat.vertices(np.zeros(300))).sum(-1)[0]
    assert np.corrcoef(moved, model.weights[:, LEFT_EYE])[0, 1] > 0.5
    assert abs(np.corrcoef(moved, model.weights[:, RIGHT_EYE])[0, 1]) < 0.5


@pytest.mark.numbers
@pytest.mark.parametrize("where", ["in triangles", "on vertices", "alike"])
def test_landmarks_only_is_exact(model, where):
    """Skinning mixes each vertex's own motions: mixing the corners first would be another landmark."""
    if where == "on vertices":
        on_vertex = np.zeros_like(model.landmark_weights)
        on_vertex[:, 1] = 1
        model = replace(model, landmark_weights=on_vertex)
    if where == "alike":
        model = replace(model, weights=np.repeat(model.weights[:1], V, 0))
    shape, p = array(300), parameters(4)
    ids = np.array([9, 0, 33])
    small = model.at_landmarks(ids)
    assert (len(small.v_template) == 3) == (where != "in triangles")
    rows = [list(model.landmark_ids).index(i) for i in ids]
    whole = model.landmarks(model.vertices(shape, **p))[:, rows]
    np.testing.assert_allclose(small.landmarks(small.vertices(shape, **p)), whole, atol=FLOAT32)


def test_digest_changes_with_any_array(model):
    other = model.__class__(**{**model.__dict__, "eyeliddirs": model.eyeliddirs + 1e-3})
    assert other.digest != model.digest
    assert model.digest == model.__class__(**model.__dict__).digest


def test_unknown_and_missing_models_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(StageError, match="HEAD_MODEL=open") as e:
        head_model.load("nonesuch")
    assert e.value.exit == Exit.USAGE
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path))
    with pytest.raises(StageError, match="flame.is.tue.mpg.de") as e:
        head_model.load("flame")
    assert e.value.exit == Exit.MISSING_ASSET and "generic_model.pkl" in e.value.where
