"""The Jacobian is the projection's derivative, and the projection is the head model's own."""

from dataclasses import replace

import numpy as np
import pytest

from avatarmake.geometry import cameras
from stages.track import parameters as P
from stages.track.projection import Projection
from tests.rounding import rounding
from tests.track import synthetic

pytestmark = pytest.mark.numbers
SIZE = (512, 512)
# Of a central difference over 2e-6, in float64: uv is known to about eps * 512 px = 1e-13, which is 6e-8 of a slope;
# what the third derivative adds, (1e-6)^2 / 6 of it, is less.
D, SLOPE = 1e-6, 1e-6


def in_triangles(model):
    """The same head far from its origin, its landmarks within triangles whose corners follow the joints differently."""
    rng = np.random.default_rng(8)
    far = {name: getattr(model, name) + np.float32((0.2, 1.5, -0.1)) for name in ("v_template", "joint_template")}
    ids = np.array([*range(45), 263], np.int32)
    near = np.argsort(((model.v_template[:46, None] - model.v_template) ** 2).sum(-1), 1)[:, :3].astype(np.int32)
    weights = 0.6 * model.weights + 0.4 * rng.dirichlet(np.ones(5), len(model.weights)).astype(np.float32)
    bary = rng.dirichlet(np.ones(3), 46).astype(np.float32)
    parts = {"landmark_ids": ids, "landmark_vertices": near, "landmark_weights": bary, "weights": weights}
    return replace(model, **far, **parts)


@pytest.fixture(scope="module", params=["on vertices", "in triangles"])
def setup(request):
    """-> the head, the head at its landmarks, shape, parameters."""
    head = synthetic.head(60, posedirs=True)
    head = head if request.param == "on vertices" else in_triangles(head)
    shape = np.random.default_rng(3).normal(size=300) * 0.5
    return head, head.at_landmarks(head.landmark_ids), shape, synthetic.course(200)[[20, 75, 120]]


def test_projects_as_the_head_model_and_the_cameras_do(setup):
    head, model, shape, p = setup
    lids = {"jaw_pose": p[:, P.JAW], "eye_pose": P.eye_pose(p), "eyelids": p[:, P.EYELIDS]}
    points = head.landmarks(head.vertices(shape, p[:, P.EXPRESSION], **lids))
    r, t = P.camera(p, Projection(model, shape, 1000, SIZE).pivot)
    expected = cameras.project(points, r, t, cameras.intrinsics_from_focal(1100, SIZE))
    got = Projection(model, shape, 1100, SIZE, np.float64).uv(p)
    # the model's own arithmetic is float32: on points up to 1.5 m from its origin, seen at 1100 / 0.8 px a metre
    tolerance = rounding(20) * 1.5 * 1100 / 0.8
    assert np.abs(got - expected).max() < tolerance
    assert np.abs(Projection(model, shape, 1100, SIZE).uv(p.astype(np.float32)) - expected).max() < tolerance


def test_a_head_far_from_its_origin_turns_in_its_place(setup):
    """Else the smoothness of rotation and translation would fight each other, with a lever of a metre and a half."""
    head, model, shape, p = setup
    projection = Projection(model, shape, 1100, SIZE, np.float64)
    turned = p.copy()
    turned[:, P.ROTATION] += (0, 0.02, 0)
    where = [(head.landmarks(head.v_template[None])[0] - projection.pivot).mean(0)]
    assert np.linalg.norm(where) < 0.1
    assert np.abs((projection.uv(turned) - projection.uv(p)).mean((0, 1))).max() < 5


@pytest.mark.parametrize("column", range(P.N))
def test_jacobian_of_a_frame(setup, column):
    _, model, shape, p = setup
    projection = Projection(model, shape, 1100, SIZE, np.float64)
    d = np.zeros(P.N)
    d[column] = D
    numeric = (projection.uv(p + d) - projection.uv(p - d)) / (2 * D)
    exact = projection.uv_jacobian(p)[1][..., column]
    assert np.abs(exact - numeric).max() <= SLOPE * max(np.abs(numeric).max(), 1)


@pytest.mark.parametrize("column", [0, 7, 150, 299, 300])
def test_jacobian_of_shape_and_log_focal(setup, column):
    _, model, shape, p = setup
    projection = Projection(model, shape, 1100, SIZE, np.float64)
    exact = projection.uv_jacobian(p, with_shape=True)[2][..., column]
    seen = []
    for sign in (1, -1):
        moved = shape + sign * D * (np.arange(300) == column)
        projection.set(moved, 1100 * np.exp(sign * D * (column == 300)))
        seen.append(projection.uv(p))
    numeric = (seen[0] - seen[1]) / (2 * D)
    assert np.abs(exact - numeric).max() <= SLOPE * max(np.abs(numeric).max(), 1)
