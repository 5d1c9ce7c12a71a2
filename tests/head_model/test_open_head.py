"""The open head: sound as a mesh, and it does what a head must do."""

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.head_model import inner, open_head
from avatarmake.head_model import landmark_names as names
from avatarmake.head_model.bases import NAMED
from avatarmake.head_model.model import JAW, LEFT_EYE, REGIONS, RIGHT_EYE
from tests.rounding import rounding

MM = 1e-3
ROUND = 0.01 * MM  # to the eye; float32 at 0.2 m, in sums of 300 terms, is finer
ZERO = np.zeros(300)


@pytest.fixture(scope="module")
def model():
    return head_model.load("open")


def posed(model, **parameters):
    return model.vertices(ZERO, **{k: np.atleast_2d(v) for k, v in parameters.items()})[0].astype(np.float64)


def unit(k, size=1.0):
    e = np.zeros(100)
    e[k] = size
    return e


# --- the mesh ------------------------------------------------------------------------------------------------------


def test_two_builds_are_the_same(model):
    assert open_head.build().digest == model.digest


def test_arrays_are_whole(model):
    v = len(model.v_template)
    assert 4000 <= v <= 6500
    shapes = {"shapedirs": (v, 3, 300), "exprdirs": (v, 3, 100), "posedirs": (36, v, 3), "weights": (v, 5)}
    shapes |= {"eyeliddirs": (2, v, 3), "uv": (len(model.faces), 3, 2), "joint_shapedirs": (5, 3, 300)}
    for name, shape in shapes.items():
        array = getattr(model, name)
        assert array.shape == shape and array.dtype == np.float32 and np.isfinite(array).all(), name
    assert np.allclose(model.weights.sum(1), 1, atol=rounding(5)) and model.weights.min() >= 0
    assert model.uv.min() >= 0 and model.uv.max() <= 1
    assert model.faces.min() == 0 and model.faces.max() == v - 1


def test_regions_share_out_the_faces(model):
    assert set(model.regions) == set(REGIONS)
    assert (sum(mask.astype(int) for mask in model.regions.values()) == 1).all()
    assert all(mask.sum() > 50 for mask in model.regions.values())


def test_faces_agree_on_the_outside(model):
    edges = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]])
    assert len(np.unique(edges, axis=0)) == len(edges)  # neighbours run through an edge in opposite directions
    a, b, c = model.v_template[model.faces].astype(np.float64).transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    assert np.linalg.norm(normal, axis=1).min() / 2 > 1e-8  # no degenerate triangle
    for region in ("scalp", "neck", "shoulders", "left_eyeball", "right_eyeball"):
        mask = model.regions[region]
        middle = ((a + b + c) / 3)[mask]
        assert ((normal[mask] * (middle - middle.mean(0))).sum(1) > 0).mean() > 0.95, region


def test_the_skin_has_no_holes_in_the_face(model):
    edges = np.sort(np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]]), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    assert count.max() == 2
    assert unique[count == 1].min() >= 468  # eyes and mouth go on behind their rims


def test_every_landmark_is_a_vertex(model):
    assert (model.landmark_ids == np.arange(478)).all()
    points = model.landmarks(model.v_template[None])[0]
    assert np.array_equal(points[:468], model.v_template[:468])
    small = model.at_landmarks(np.arange(478))
    assert np.allclose(small.v_template, points)


def test_left_is_the_subjects_left_and_the_iris_is_where_it_belongs(model):
    points = model.landmarks(model.v_template[None])[0]
    assert points[263, 0] > 0.04 and points[33, 0] < -0.04 and points[10, 1] > points[152, 1]
    assert points[1, 2] > points[[33, 263, 10, 152], 2].max()
    for eye, joint, sign in ((names.LEFT_EYE, LEFT_EYE, 1), (names.RIGHT_EYE, RIGHT_EYE, -1)):
        centre, *ring = points[list(eye.iris)]
        assert sign * centre[0] > 0.02
        assert np.allclose(np.linalg.norm(np.array(ring)[:, :2] - centre[:2], axis=1), inner.IRIS_RADIUS, atol=ROUND)
        left, up, right, down = ring
        assert left[0] > centre[0] > right[0] and up[1] > centre[1] > down[1]
        assert np.allclose(centre - model.joint_template[joint], [0, 0, inner.EYE_RADIUS], atol=0.2 * rounding(10))


# --- what it does --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which, eye, joint", [(0, names.LEFT_EYE, LEFT_EYE), (1, names.RIGHT_EYE, RIGHT_EYE)])
def test_lids_close_over_the_eyeball(model, which, eye, joint):
    upper, lower = list(eye.upper[1:-1]), list(eye.lower[1:-1])
    moves = np.linalg.norm(model.eyeliddirs[which], axis=1)
    outside = np.linalg.norm(model.v_template - model.joint_template[joint], axis=1) > inner.EYE_RADIUS
    skin = np.flatnonzero((moves > 1 * MM) & outside)  # the walls behind the rims lie within
    assert len(skin) > 80
    openings = []
    for closure in (0, 0.25, 0.5, 0.75, 1):
        v = posed(model, eyelids=[closure, 0] if which == 0 else [0, closure])
        openings.append(np.linalg.norm(v[upper] - v[lower], axis=1).mean())
        assert np.linalg.norm(v[skin] - model.joint_template[joint], axis=1).min() > inner.EYE_RADIUS - 0.3 * MM
    assert openings[0] > 5 * MM and openings[-1] < 0.1 * MM
    assert np.allclose(openings, np.linspace(openings[0], openings[-1], 5), rtol=0.05, atol=0.1 * MM)
    other = list((names.RIGHT_EYE if which == 0 else names.LEFT_EYE).rim)
    assert not model.eyeliddirs[which][other].any()
    assert moves[eye.upper[4]] > 3 * moves[eye.lower[4]]


def test_the_jaw_opens_the_mouth_and_nothing_else(model):
    v = posed(model, jaw_pose=[0.2, 0, 0]) - model.v_template
    assert v[152, 1] < -12 * MM and v[14, 1] < -12 * MM
    assert np.abs(v[[13, 0, 1, 33, 263, 10]]).max() < 0.2 * rounding(10)
    corner = np.linalg.norm(v[[61, 291]], axis=1)
    assert (corner > 2 * MM).all() and (corner < 8 * MM).all()
    for region in ("scalp", "ears", "shoulders"):
        assert np.abs(v[model.vertex_region(region)]).max() < 1 * MM, region
    teeth = model.vertex_region("mouth") & (model.weights[:, JAW] == 1)
    assert v[teeth, 1].max() < -5 * MM  # the lower ones go along


def test_eyes_turn(model):
    left = posed(model, eye_pose=[0, 0.3, 0, 0, 0, 0]) - model.v_template
    moved = np.linalg.norm(left, axis=1) > 1e-6
    assert (moved <= model.vertex_region("left_eyeball")).all()
    iris = model.landmarks(left[None].astype(np.float32))[0][473]
    assert iris[0] == pytest.approx(inner.EYE_RADIUS * np.sin(0.3), abs=ROUND)
    down = posed(model, eye_pose=[0, 0, 0, 0.3, 0, 0]) - model.v_template
    assert model.landmarks(down[None].astype(np.float32))[0][468][1] < -3 * MM


def test_expressions_stay_in_the_face(model):
    moves = np.linalg.norm(model.exprdirs, axis=1)  # (V,100)
    for region in ("scalp", "ears", "neck", "shoulders", "left_eyeball", "right_eyeball"):
        assert moves[model.vertex_region(region)].max() < 0.3 * MM, region
    assert moves[:468].max(0).min() > 0.1 * MM  # and each does something


def test_expressions_do_what_they_are_called(model):
    order = list(NAMED)

    def move(name):
        return posed(model, expression=unit(order.index(name))) - model.v_template

    smile = move("smile")
    assert smile[291, 0] > 2 * MM and smile[61, 0] < -2 * MM and smile[291, 1] > 1.5 * MM
    assert move("brow_inner_up")[285, 1] > 1.5 * MM and np.abs(move("brow_inner_up")[17]).max() < 0.1 * MM
    lips = move("lips_apart")
    assert lips[13, 1] > 0.8 * MM and lips[14, 1] < -0.8 * MM  # upper and lower lip are held apart
    sideways = move("mouth_sideways")
    assert sideways[0, 0] > 2 * MM and sideways[61, 0] > 1 * MM and sideways[291, 0] > 1 * MM


def test_symmetric_fields_come_first(model):
    mirror = np.argmin(((model.v_template[None, :468] * [-1, 1, 1] - model.v_template[:468, None]) ** 2).sum(-1), 1)
    flipped = model.shapedirs[:468][mirror] * np.array([-1, 1, 1])[:, None]
    difference = np.abs(flipped - model.shapedirs[:468]).max((0, 1))
    assert (difference[:201] < 0.15 * MM).all()
    antisymmetric = np.abs(flipped + model.shapedirs[:468]).max((0, 1))
    assert (antisymmetric[201:] < 0.15 * MM).all()


def test_the_prior_draws_plausible_faces(model):
    rng = np.random.default_rng(1)
    for _ in range(5):
        d = np.linalg.norm(model.identity(rng.standard_normal(300)) - model.v_template, axis=1)
        assert 1.5 * MM < np.sqrt((d[:468] ** 2).mean()) < 9 * MM and d[:468].max() < 25 * MM
    size = np.sqrt((model.shapedirs[:468] ** 2).sum(1).mean(0))[:201].reshape(67, 3).mean(1)
    assert size[:10].mean() > 2 * size[-10:].mean()  # coarse to fine


def test_shape_is_free_of_rigid_motion(model):
    p = model.v_template[:468].astype(np.float64)
    p -= p.mean(0)
    dirs = model.shapedirs[:468].astype(np.float64)
    assert np.abs(dirs.mean(0)).max() < 0.01 * MM
    torque = np.cross(p[:, :, None], dirs, axisa=1, axisb=1).mean(0)
    assert np.abs(torque).max() < 1e-3 * MM


def test_eyeballs_stay_round_and_seated_for_any_face(model):
    shape = np.random.default_rng(2).standard_normal(300)
    v, joints = model.identity(shape), model.joints(shape)
    for region, joint in (("left_eyeball", LEFT_EYE), ("right_eyeball", RIGHT_EYE)):
        r = np.linalg.norm(v[model.vertex_region(region)] - joints[joint], axis=1)
        assert np.allclose(r, inner.EYE_RADIUS, atol=ROUND)
