"""Frames held against a person's own texture: rows by numeric differences, and pictures of the open head put right."""

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.geometry import cameras
from stages.track import parameters as P
from stages.track import points
from stages.track.contrast import local_contrast, patch, sample
from stages.track.photometric import Photometry
from stages.track.projection import Projection
from stages.track.refine import Refiner
from stages.track.solver import FrameSolver, second_difference
from stages.track.surface import within

SIZE, FOCAL, FRAMES = (512, 512), 1400.0, 12


def pattern(points: np.ndarray) -> np.ndarray:
    """(..., 3) metres of the neutral head -> grey levels: blotches of some millimetres."""
    waves = np.random.default_rng(3).normal(size=(40, 3)) * 500
    phase = np.random.default_rng(4).uniform(0, 6.28, 40)
    return 128 + 12 * np.sin(points @ waves.T + phase).sum(-1) / np.sqrt(20)


def performance() -> np.ndarray:
    """(F,115): turns, nods, opens the mouth, smiles and blinks."""
    t = np.linspace(0, 1, FRAMES)
    p = np.zeros((FRAMES, P.N))
    p[:, P.ROTATION] = np.stack([0.12 * np.cos(5 * t), 0.3 * np.sin(6.28 * t), 0.05 * t], 1)
    p[:, P.TRANSLATION] = (0.005, 0, 1.05)
    p[:, 0] = 1 + np.sin(9 * t)
    p[:, P.JAW.start] = 0.06 + 0.06 * np.sin(7 * t)
    p[:, P.EYES] = 0.1 * np.sin(8 * t)[:, None]
    p[:, P.EYELIDS] = 0.1 + 0.5 * np.exp(-((12 * (t - 0.6)) ** 2))[:, None]
    return p.astype(np.float32)


@pytest.fixture(scope="module")
def filmed():
    """Head, the landmarks' solver, truth (F,115), landmarks (F,478,2), pictures (F,512,512,3)."""
    rasterise = pytest.importorskip("stages.demo.rasteriser").rasterise
    head, truth = head_model.load("open"), performance()
    every = Projection(head.at_landmarks(head.landmark_ids), np.zeros(300), FOCAL, SIZE)
    r, t = P.camera(truth.astype(np.float64), every.pivot.astype(np.float64))
    poses = (truth[:, P.EXPRESSION], truth[:, P.JAW], P.eye_pose(truth), truth[:, P.EYELIDS])
    shown = head.vertices(np.zeros(300), *poses).astype(np.float64)
    k = cameras.intrinsics_from_focal(FOCAL, SIZE)
    pictures = []
    for f in range(FRAMES):
        seen = shown[f] @ r[f].T + t[f]
        face, at = rasterise(cameras.project(shown[f], r[f], t[f], k), seen[:, 2].copy(), head.faces, *SIZE, False)
        where = (head.v_template[head.faces[face]] * at[..., None]).sum(-2)
        grey = np.where(face < 0, 90, pattern(where)).clip(0, 255).astype(np.uint8)
        pictures.append(np.repeat(grey[..., None], 3, 2))
    fitted = points.chosen("face", head.landmark_ids)
    projection = Projection(head.at_landmarks(fitted), np.zeros(300), FOCAL, SIZE)
    return head, FrameSolver(projection, points.TRUST[fitted], 1.2, P.priors()), truth, every.uv(truth), pictures


def patches(filmed):
    return [patch(image, marks) for image, marks in zip(filmed[4], filmed[3], strict=True)]


def test_local_contrast_knows_no_light():
    grey = np.random.default_rng(0).normal(0, 20, (90, 80)).cumsum(0)
    grey = 60 + 100 * (grey - grey.min()) / np.ptp(grey)
    bright, dark = (local_contrast(g.astype(np.uint8), 1.5) for g in (grey + 20, 0.7 * grey))
    assert np.abs(bright).max() < 5 and np.corrcoef(bright.ravel(), dark.ravel())[0, 1] > 0.98


def test_a_picture_is_sampled_where_it_is():
    """Pixel centres are at +0.5, and the patch's corner counts."""
    y, x = np.mgrid[:40, :50].astype(np.float32) + 0.5
    ramp = 2 * (x + 7) - 3 * (y + 9)
    uv = np.random.default_rng(1).uniform((12, 14), (50, 44), (30, 2)).astype(np.float32)
    value, slope = sample(ramp, np.array([7, 9]), uv)
    assert np.allclose(value, 2 * uv[:, 0] - 3 * uv[:, 1], atol=0.2)  # OpenCV's weights are of 1/32 px: 5 / 32
    assert np.allclose(slope, [2, -3], atol=0.2)


def test_inside_a_polygon():
    rim = np.array([[0, 0], [10, 0], [10, 10], [0, 10]])
    assert within(np.array([[5, 5], [-1, 5], [1, 5.0]]), rim).tolist() == [1, 0, 0.5]


@pytest.mark.numbers
def test_the_equations_are_the_cost_s_slope(filmed):
    """g is minus half the gradient of the weighted squares, the picture being what it is."""
    head, frames, truth, *_ = filmed
    refiner = Refiner(head, frames, SIZE)
    photometry = Photometry(refiner.surface, frames.projection, patches(filmed)[:1], 2.0)
    texture = photometry.gather(truth[:1])
    p = truth[:1] + 0.2 * P.vector(0.3, 0.02, 0.05, 0.1, 0.01, 0.001).astype(np.float32)
    h, g = np.zeros((1, P.N, P.N), np.float32), np.zeros((1, P.N), np.float32)
    photometry.add(p, texture, h, g)
    ((posed, value, gradient, seen),) = photometry.look(p)
    way = (gradient / texture.noise[:, None])[None]
    step = P.vector(1e-2, 1e-3, 1e-3, 1e-2, 1e-3, 1e-4).astype(np.float32)
    rows = refiner.surface.projection.along(p, posed, way)[0]
    for k in (0, 30, 100, 103, 105, 107, 109, 111, 112, 114):
        moved = np.zeros_like(p)
        moved[0, k] = step[k]
        uv = [refiner.surface.projection.uv(p + sign * moved)[0] for sign in (1, -1)]
        numeric = ((uv[0] - uv[1]) * way[0]).sum(-1) / (2 * step[k])
        assert np.abs(rows[:, k] - numeric).max() < 0.02 * np.abs(numeric).max()
    weighted = np.linalg.eigvalsh(h[0].astype(np.float64))
    assert np.allclose(h[0], h[0].T, atol=1e-4 * weighted[-1]) and weighted[0] > -1e-4 * weighted[-1]
    assert g[0] @ (truth[0] - p[0]) > 0  # downhill is towards where the texture was taken


def off(p: np.ndarray) -> np.ndarray:
    """Frames as a biased detector leaves them: the same way off where they look the same way."""
    wrong = p.astype(np.float64)
    wrong[:, P.ROTATION] += np.stack([0.03 * np.sin(9 * p[:, 110]), 0.05 * p[:, 110], 0 * p[:, 110]], 1)
    wrong[:, 0] += 0.5 * np.cos(np.arange(len(p)))
    wrong[:, P.JAW.start] *= 0.6
    wrong[:, P.EYES] *= 0.5
    return wrong.astype(np.float32)


@pytest.mark.numbers
def test_frames_are_put_right_by_a_known_texture(filmed):
    head, frames, truth, marks, _ = filmed
    refiner = Refiner(head, frames, SIZE)
    textures = [Photometry(refiner.surface, frames.projection, patches(filmed), s).gather(truth) for s in (2.0, 1.0)]
    start, ids = off(truth), frames.projection.model.landmark_ids
    biased = frames.projection.uv(start)
    bend = second_difference(np.arange(0, 3 * FRAMES, 3))
    found = refiner.course(start, biased, (bend.T @ bend).astype(np.float32), patches(filmed), textures)
    before, after = (np.abs(p - truth) for p in (start, found))
    for part in (P.ROTATION, slice(100, 101), P.EYES):  # expressions overlap: they are judged by what they move
        assert after[:, part].mean() < 0.5 * before[:, part].mean()
    uv = frames.projection.uv(found)
    assert (
        np.linalg.norm(uv - marks[:, ids], axis=-1).mean()
        < 0.4 * np.linalg.norm(biased - marks[:, ids], axis=-1).mean()
    )


@pytest.mark.numbers
def test_texture_and_keyframes_are_found_together(filmed):
    """From landmarks that are consistently wrong: what varies is put right, the mean stays the landmarks'."""
    head, frames, truth, *_ = filmed
    refiner = Refiner(head, frames, SIZE)
    start = off(truth)
    biased = frames.projection.uv(start)
    textures = refiner.person(start, biased, patches(filmed))
    assert len(textures) == 2 and np.isfinite(textures[0].noise).mean() > 0.5
    none = np.zeros((FRAMES, FRAMES), np.float32)
    again = refiner.course(start, biased, none, patches(filmed), textures)

    def turned(p):
        wrong = p[:, P.ROTATION] - truth[:, P.ROTATION]
        return np.abs(wrong - wrong.mean(0)).mean()

    assert turned(again) < 0.6 * turned(start)


def test_what_nobody_sees_says_nothing(filmed):
    head, frames, truth, *_ = filmed
    surface = Refiner(head, frames, SIZE).surface
    photometry = Photometry(surface, frames.projection, patches(filmed), 2.0)
    texture = photometry.gather(truth)
    away = truth[:1].copy()
    away[0, P.TRANSLATION.start] += 5
    h, g = np.zeros((1, P.N, P.N), np.float32), np.zeros((1, P.N), np.float32)
    photometry.add(away, texture, h, g)
    assert not h.any() and not g.any()
