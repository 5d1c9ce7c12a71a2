"""The Jacobian is the projection's derivative, and the projection is the head model's own."""

import numpy as np
import pytest

from stages import cameras
from stages.track import parameters as P
from stages.track.projection import Projection
from tests.track import synthetic

SIZE = (512, 512)


@pytest.fixture(scope="module")
def setup():
    model = synthetic.head(60, posedirs=True)
    shape = np.random.default_rng(3).normal(size=300) * 0.5
    return model, shape, synthetic.course(200)[[20, 75, 120]]


def test_projects_as_the_head_model_and_the_cameras_do(setup):
    model, shape, p = setup
    lids = {"jaw_pose": p[:, P.JAW], "eye_pose": P.eye_pose(p), "eyelids": p[:, P.EYELIDS]}
    vertices = model.vertices(shape, p[:, P.EXPRESSION], **lids)
    r, t = P.camera(p)
    expected = cameras.project(vertices, r, t, cameras.intrinsics_from_focal(1100, SIZE))
    got = Projection(model, shape, 1100, SIZE, np.float64).uv(p)
    assert np.abs(got - expected).max() < 1e-2  # the model's own arithmetic is float32
    assert np.abs(Projection(model, shape, 1100, SIZE).uv(p.astype(np.float32)) - expected).max() < 1e-2


@pytest.mark.parametrize("column", range(P.N))
def test_jacobian_of_a_frame(setup, column):
    model, shape, p = setup
    projection = Projection(model, shape, 1100, SIZE, np.float64)
    d = np.zeros(P.N)
    d[column] = 1e-6
    numeric = (projection.uv(p + d) - projection.uv(p - d)) / 2e-6
    exact = projection.uv_jacobian(p)[1][..., column]
    assert np.abs(exact - numeric).max() <= 1e-6 * max(np.abs(numeric).max(), 1)


@pytest.mark.parametrize("column", [0, 7, 150, 299, 300])
def test_jacobian_of_shape_and_log_focal(setup, column):
    model, shape, p = setup
    projection = Projection(model, shape, 1100, SIZE, np.float64)
    exact = projection.uv_jacobian(p, with_shape=True)[2][..., column]
    seen = []
    for sign in (1, -1):
        moved = shape + sign * 1e-6 * (np.arange(300) == column)
        projection.set(moved, 1100 * np.exp(sign * 1e-6 * (column == 300)))
        seen.append(projection.uv(p))
    numeric = (seen[0] - seen[1]) / 2e-6
    assert np.abs(exact - numeric).max() <= 1e-6 * max(np.abs(numeric).max(), 1)
