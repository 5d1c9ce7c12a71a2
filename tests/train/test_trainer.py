"""Training that learns, and goes on bit for bit where it stopped."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from avatarmake.avatar import ply
from avatarmake.errors import Exit, StageError
from stages.train import evaluation
from stages.train.adam import Adam
from stages.train.avatar import Avatar, fresh
from stages.train.backend import choose
from stages.train.dataset import Dataset
from stages.train.fitting import Fit, fit
from stages.train.network import COMPONENTS, Code
from stages.train.poses import Poses, corrected
from stages.train.split import split
from stages.train.trainer import Schedule, Trainer, ends
from tests.rounding import rounding


def new(small, iterations: int = 60, gaussians: int = 1500, seed: int = 0) -> Trainer:
    dataset, backend = Dataset(*small), choose("cpu")
    parts = split(len(dataset))
    avatar = fresh(dataset, parts.train, gaussians, seed, backend)
    return Trainer(avatar, dataset, parts, Schedule(iterations, 64, 0.5, seed), mouth_weight=40)


def unseen(trainer: Trainer, name: str = "psnr_head") -> float:
    figures = [
        evaluation.measure(trainer.picture_of(i, 64), trainer.dataset.picture(i, 64)) for i in trainer.split.held_out
    ]
    return float(np.mean([f[name] for f in figures]))


def test_it_learns_frames_it_has_not_seen(small):
    trainer = new(small, 150)
    before = unseen(trainer)
    for _ in range(150):
        trainer.step()
    assert unseen(trainer) > before + 8


def test_it_goes_on_bit_for_bit_from_a_checkpoint(small):
    straight = new(small)
    for _ in range(20):
        straight.step()
    halfway = io.BytesIO()
    torch.save(straight.state(), halfway)
    for _ in range(20):
        straight.step()
    state = torch.load(io.BytesIO(halfway.getvalue()), weights_only=True)
    avatar = Avatar.restored(state, choose("cpu"))
    resumed = Trainer(avatar, straight.dataset, straight.split, straight.schedule, straight.mouth_weight)
    resumed.restore(state)
    for _ in range(20):
        resumed.step()
    a, b = straight.avatar.network.state_dict(), resumed.avatar.network.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    a, b = straight.poses.state(), resumed.poses.state()
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert np.array_equal(straight.picture_of(3, 64), resumed.picture_of(3, 64))


def test_fitting_finds_a_camera_that_is_off_and_teaches_the_avatar_nothing(small):
    trainer = new(small, 60)
    for _ in range(60):
        trainer.step()
    before = io.BytesIO()
    torch.save(trainer.state(), before)
    i = trainer.split.blocks[1]
    off = corrected(np.array([2.0, -1.0, 0.0, 4.0, -2.0, 0.0]), *trainer.camera_of(i))
    nothing = np.zeros(COMPONENTS, np.float32)
    found = fit(trainer.avatar, trainer.dataset, i, trainer.codes[i], *off, 64)
    picture = trainer.dataset.picture(i, 64)
    shown = [trainer.picture_of(i, 64, fit=f) for f in (Fit(*off, nothing), found)]
    before_it, after_it = (evaluation.measure(image, picture)["psnr_full"] for image in shown)
    assert after_it > before_it + 5
    assert np.abs(found.translation - off[1]).max() > 1e-3 and found.code.any()
    after = io.BytesIO()
    torch.save(trainer.state(), after)
    assert before.getvalue() == after.getvalue()


def test_the_seed_decides_and_nothing_else(small):
    runs = []
    for seed in (0, 0, 1):
        trainer = new(small, seed=seed)
        runs.append([trainer.step()[0] for _ in range(8)])
    assert runs[0] == runs[1] != runs[2]


def test_every_frame_is_seen_once_an_epoch():
    schedule, train = Schedule(100, 64, 0.5, seed=3), (2, 3, 5, 7, 11)
    epochs = [[schedule.frame(5 * e + k, train) for k in range(5)] for e in range(4)]
    assert all(sorted(e) == list(train) for e in epochs) and len({tuple(e) for e in epochs}) > 1


def test_a_frame_of_less_weight_is_shown_less_often():
    schedule, train, weights = Schedule(100, 64, 0.5, seed=3), tuple(range(40, 60)), np.ones(20)
    weights[5:15] = 0.1
    shown = [schedule.frame(step, train, ends(weights)) for step in range(11 * 50)]
    times = np.bincount(np.array(shown) - 40, minlength=20)
    assert (times[weights == 1] == 50).all() and 2 <= times[5:15].min() and times[5:15].max() <= 8
    assert times.sum() == 550 and shown == [schedule.frame(step, train, ends(weights)) for step in range(11 * 50)]
    same = [schedule.frame(step, train, ends(np.full(20, 0.1))) for step in range(2000)]
    assert set(same) == set(train)  # all alike in doubt: all are shown


def test_weights_come_from_the_index_and_must_fit_it(small, tmp_path):
    dataset, masks = (shutil.copytree(folder, tmp_path / folder.name) for folder in small)
    index = json.loads((dataset / "index.json").read_text())
    count = len(index["images"])
    assert Dataset(dataset, masks).weights.tolist() == [1.0] * count
    (dataset / "index.json").write_text(json.dumps(index | {"weights": [0.5] * count}))
    assert Dataset(dataset, masks).weights.tolist() == [0.5] * count
    for wrong in ([0.5], [2.0] * count, [float("nan")] * count):
        (dataset / "index.json").write_text(json.dumps(index | {"weights": wrong}))
        with pytest.raises(StageError, match="weights, expected"):
            Dataset(dataset, masks)


def test_unseen_frames_have_no_correction_of_their_own(small):
    trainer = new(small)
    for _ in range(40):
        trainer.step()
    assert trainer.poses.own[list(trainer.split.train)].any()
    assert not trainer.poses.own[list(trainer.split.held_out)].any()


def follow(poses: Poses, target: np.ndarray, frames: range, steps: int) -> None:
    """Steps down a made-up loss: the distance of each frame's corrected camera from the true one."""
    rotation, translation = np.eye(3, dtype=np.float32), np.array([0, 0, 1], np.float32)
    for step in range(steps):
        i = frames[step % len(frames)]
        true = corrected(target[i], rotation, translation)
        r, t = poses.camera(i, rotation, translation)
        poses.step(i, r, r - true[0], t - true[1], factor=0.97 ** (step / len(frames)))


def test_poses_find_a_camera_that_was_off():
    target = np.array([[1.0, -0.5, 0.3, 0.4, 0.2, -0.8]])
    poses = Poses(np.zeros((1, 4)), (0,), 0.05, 0.01)
    follow(poses, target, range(1), 300)
    assert np.abs(poses.own - target).max() < 0.02


@pytest.fixture(scope="module")
def taught():
    """A tracker whose error follows the expression: 50 frames learned, 10 like them not seen, one like none of them."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((61, 4))
    codes[60] = 30
    target = codes @ rng.standard_normal((4, 6))
    poses = Poses(codes, tuple(range(50)), 0.02, 0.02)
    follow(poses, target, range(50), 3000)
    return poses, target


def test_unseen_frames_are_put_right_by_what_frames_of_like_codes_taught(taught):
    poses, target = taught
    expected = np.stack([poses.expected(i) for i in range(50, 60)])
    assert np.abs(expected - target[50:60]).mean() < 0.5 * np.abs(target[50:60]).mean()
    assert not poses.own[50:].any()


@pytest.mark.numbers
def test_a_frame_like_none_gets_the_mean_correction(taught):
    poses, _ = taught
    mean = np.stack([poses.learned(i) for i in range(50)]).mean(0)
    assert np.allclose(poses.expected(60), mean, atol=1e-5)  # in float64, given to six decimals


@pytest.mark.numbers
def test_a_code_stops_at_the_edge_of_what_was_seen():
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((50, 111)).astype(np.float32) * (np.arange(111) < 3)
    code = Code(111)
    code.fit(raw)
    seen = torch.stack([code(torch.from_numpy(r)) for r in raw])
    assert seen.square().sum(0)[:3].sum() / (50 * 3) == pytest.approx(1, rel=1e-3)
    assert not seen[:, 3:].any() and seen.shape[1] == COMPONENTS
    assert torch.equal(code(torch.full((111,), 1e3)), code(torch.full((111,), 1e4)))
    direction = torch.zeros(111)
    direction[50] = 1e3  # a direction that no frame took
    assert torch.allclose(code(torch.from_numpy(raw[0]) + direction), seen[0], atol=3 * rounding(111))


@pytest.mark.numbers
def test_the_canonical_ply_is_what_viewers_read(small, tmp_path):
    trainer = new(small)
    for _ in range(10):
        trainer.step()
    means, axes, opacities, colours = trainer.avatar.gaussians(trainer.codes[0], trainer.dataset.neutral())
    ply.write(tmp_path / "a.ply", means, axes, opacities, colours)
    columns = ply.read(tmp_path / "a.ply")
    assert list(columns) == ply.FIELDS and len(columns["x"]) == 1500
    assert np.allclose(1 / (1 + np.exp(-columns["opacity"])), opacities, atol=rounding(10))
    assert np.allclose(columns["f_dc_1"] * ply.SH0 + 0.5, colours[:, 1], atol=rounding(10))
    q = np.stack([columns[f"rot_{k}"] for k in range(4)], 1).astype(np.float64)
    s = np.exp(np.stack([columns[f"scale_{k}"] for k in range(3)], 1))
    w, x, y, z = q.T
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], 1)
    assert np.abs(first * s[:, :1] - axes[:, :, 0]).max() < 0.01 * rounding(100)  # metres: the widest


@pytest.mark.numbers
def test_adam_is_the_paper_s():
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(50), rng.standard_normal((5, 50))
    parameter = torch.nn.Parameter(torch.from_numpy(start).float())
    adam, m, v, expected = Adam([(parameter, 0.01, 2.0)]), 0.0, 0.0, start
    for t, g in enumerate(gradients, 1):
        parameter.grad = torch.from_numpy(g).float()
        adam.step(0.5)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        expected = expected * (1 - 0.5 * 0.01 * 2) - 0.5 * 0.01 * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.999**t))
    assert np.abs(parameter.detach().numpy() - expected).max() < 3 * rounding(5)  # up to 3, in five steps


def test_devices():
    assert choose("auto").device.type in ("cpu", "cuda")
    for wrong in (("tpu",), ("cpu", "own2"), ("cpu", "gsplat")):
        with pytest.raises(StageError) as e:
            choose(*wrong)
        assert e.value.exit == Exit.USAGE
    if not torch.cuda.is_available():
        for wanted in (("cuda",), ("cuda", "gsplat"), ("auto", "gsplat")):
            with pytest.raises(StageError, match="there is none") as e:
                choose(*wanted)
            assert e.value.exit == Exit.ENVIRONMENT


def test_several_frames_a_step(small):
    one, three = new(small), new(small)
    three.schedule = replace(three.schedule, views=3)
    frames = [[i for i, _ in three.views_of(step)] for step in (0, 1)]
    assert sum(frames, []) == [one.schedule.frame(k, one.split.train, one.line) for k in range(6)]
    before = three.avatar.network.base.detach().clone()
    three.step()
    assert (three.avatar.network.base != before).any() and three.optimiser.steps == three.steps == 1
    assert np.flatnonzero(three.poses.steps).tolist() == sorted(frames[0])


def test_pictures_of_the_first_resolution_make_room_for_the_second(small):
    trainer = new(small, iterations=4)
    trainer.schedule = Schedule(4, 64, 0.5, 0)
    trainer.schedule.resolution_at = lambda step: 32 if step < 2 else 64
    for _ in range(4):
        trainer.step()
    assert {key[0] for key in trainer.dataset._kept} == {64, "mesh"}
