"""Ground truth recovered from landmarks of a made-up head: parameters, shape, a smooth course, in spite of outliers."""

import numpy as np
import pytest

from avatarmake.geometry import jitter
from stages.track import chunks, identity, points
from stages.track import parameters as P
from stages.track.projection import Projection
from stages.track.solver import FrameSolver, MeanFrame, conjugate_gradients, second_difference
from tests.track import synthetic

SIZE, FOCAL, FRAMES, LANDMARKS = (512, 512), 1450.0, 60, 150


@pytest.fixture(scope="module")
def scene():
    """Model, shape, truth (F,115), its exact landmarks (F,L,2)."""
    model = synthetic.head(LANDMARKS)
    shape = np.random.default_rng(5).normal(size=300).astype(np.float32) * 0.8
    p = synthetic.course(FRAMES)
    p[:, P.TRANSLATION.stop - 1] += 0.3
    return model, shape, p, Projection(model, shape, FOCAL, SIZE, np.float64).uv(p)


def solve(scene, uv, unit=0.7, numbers=None):
    model, shape, _, _ = scene
    priors, projection = P.priors(), Projection(model, shape, FOCAL, SIZE)
    numbers = np.arange(len(uv)) if numbers is None else numbers
    uv = uv.astype(np.float32)
    solver = FrameSolver(projection, np.ones(len(uv[0])), unit, priors)
    return solver.solve(identity.start(projection, uv, priors, numbers), uv, numbers), projection


@pytest.mark.numbers
def test_recovers_what_made_the_landmarks(scene):
    _, _, truth, uv = scene
    solution, projection = solve(scene, uv, unit=0.1)
    assert np.linalg.norm(projection.uv(solution.p) - uv, axis=-1).mean() < 0.1
    assert np.degrees(np.abs(solution.p - truth)[:, P.ROTATION]).mean() < 0.5
    assert np.abs(solution.p - truth)[:, P.TRANSLATION].mean() < 0.005
    assert np.abs(solution.p - truth)[:, P.EYELIDS].mean() < 0.1
    assert np.corrcoef(solution.p[:, P.JAW.start], truth[:, P.JAW.start])[0, 1] > 0.9
    assert solution.iterations < 12


def test_noise_is_smoothed_and_blinks_are_kept(scene):
    _, _, truth, uv = scene
    noisy = uv + np.random.default_rng(0).normal(size=uv.shape) * 0.7
    solution, projection = solve(scene, noisy)
    seen = projection.uv(solution.p)
    assert np.linalg.norm(seen - uv, axis=-1).mean() < 0.6 * np.linalg.norm(noisy - uv, axis=-1).mean()
    assert jitter.jitter_px(seen) < 0.4 * jitter.jitter_px(noisy)
    for eye in (0, 1):
        lid = solution.p[:, P.EYELIDS][:, eye]
        assert np.corrcoef(lid, truth[:, P.EYELIDS][:, eye])[0, 1] > 0.9
        assert lid.max() > 0.7 and lid.min() > -0.15 and lid.max() < 1.15


def test_outliers_are_not_believed(scene):
    _, _, _, uv = scene
    noisy = uv + np.random.default_rng(1).normal(size=uv.shape) * 0.3
    noisy[:, ::15] += 25  # a tenth of the landmarks, all to one side
    solution, projection = solve(scene, noisy)
    error = np.linalg.norm(projection.uv(solution.p) - uv, axis=-1)
    assert np.median(error) < 1


def test_no_smoothing_across_a_gap():
    assert second_difference(np.array([0, 1, 5, 6])).shape == (0, 4)
    assert np.array_equal(second_difference(np.array([0, 1, 2, 9])), [[1, -2, 1, 0]])


@pytest.mark.numbers
def test_preconditioned_conjugate_gradients_solve_the_coupled_system():
    rng, count, n = np.random.default_rng(2), 9, 5
    a = rng.normal(size=(count, n, 8))
    h = np.eye(n) + a @ a.swapaxes(1, 2)
    d, smoothness, g = second_difference(np.arange(count)), rng.uniform(1, 1e4, n), rng.normal(size=(count, n))
    bend = d.T @ d
    dense = np.kron(bend, np.diag(smoothness))
    for i in range(count):
        dense[i * n : i * n + n, i * n : i * n + n] += h[i]
    x = conjugate_gradients(h, bend, smoothness, g, MeanFrame(h, bend, smoothness), most=200, tol=1e-10)
    # the residual is 1e-10 in the norm in which this system's condition is of the order of 1
    assert np.allclose(x.ravel(), np.linalg.solve(dense, g.ravel()), rtol=1e-6, atol=1e-9)


def test_chunks_meet_without_a_seam(scene):
    _, _, _, uv = scene
    noisy = uv + np.random.default_rng(3).normal(size=uv.shape) * 0.7
    whole, projection = solve(scene, noisy)
    middle, reach = FRAMES // 2, chunks.OVERLAP
    first, _ = solve(scene, noisy[: middle + reach])
    second, _ = solve(scene, noisy[middle - reach :], numbers=np.arange(middle - reach, FRAMES))
    joined = np.concatenate([first.p[:middle], second.p[reach:]])
    apart = np.linalg.norm(projection.uv(joined) - projection.uv(whole.p), axis=-1)
    assert apart.mean(1).max() < 0.1


def test_identity_from_keyframes(scene):
    model, shape, _, uv = scene
    keyframes = uv[::6] + np.random.default_rng(4).normal(size=uv[::6].shape) * 0.3
    person = identity.solve(model, np.ones(LANDMARKS), keyframes, 0.5, FOCAL * 1.03, SIZE, P.priors())
    assert abs(person.focal / (FOCAL * 1.03) - 1) < 0.1  # the prior decides
    solution, projection = solve((model, person.shape, None, None), uv)
    projection.set(person.shape, person.focal)
    head = projection.neutral - projection.neutral.mean(0)
    true = model.v_template + model.shapedirs @ shape
    true = true - true.mean(0)
    scale = (head * true).sum() / (head * head).sum()
    assert np.linalg.norm(scale * head - true, axis=1).mean() < 0.6 * np.linalg.norm(
        model.v_template - model.v_template.mean(0) - true, axis=1
    ).mean()


def test_keyframes_differ():
    rng = np.random.default_rng(6)
    face = rng.normal(size=(50, 2)) * 40
    turned = np.stack([face @ np.diag([1 - k / 5, 1]) * 2 + k for k in (0, 1, 2, 3) for _ in range(10)])
    chosen = identity.spread(turned + rng.normal(size=turned.shape) * 0.01, 4)
    assert sorted(chosen // 10) == [0, 1, 2, 3]


@pytest.mark.parametrize("frames", [1, 2, 9, 31, 32, 400, 30_000])
def test_every_frame_is_in_one_chunk_and_one_shard(frames):
    c = chunks.Chunks(frames)
    spans = [c.span(i) for i in range(len(c))]
    assert [i for a, b in spans for i in range(a, b)] == list(range(frames))
    assert all(0 < b - a <= chunks.CHUNK for a, b in spans)
    for n in (1, 3, 7):
        assert [k for i in range(n) for k in c.part(i, n)] == list(range(len(c)))
        assert all(set(c.part(i, n)) <= set(c.around(c.part(i, n))) for i in range(n))


def test_the_focal_length_follows_the_source():
    assert identity.focal_guess((512, 512)) == pytest.approx(1452, abs=1)  # as flame-head-tracker: 20 degrees
    assert identity.focal_guess((1920, 1080)) == pytest.approx(1.2 * 1920)


def test_sets_of_landmarks_are_of_the_model_only():
    core, face = (points.chosen(name, np.arange(478)) for name in ("core", "face"))
    assert 100 <= len(core) <= 115 and len(core) < len(face) < 250 and set(core) <= set(face)
    assert 473 not in points.chosen("face", np.arange(468))
