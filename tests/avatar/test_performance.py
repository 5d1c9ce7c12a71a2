"""The file of parameters: written, read, refused; and a performance between its frames."""

from dataclasses import replace

import numpy as np
import pytest

from avatarmake.avatar import tracked
from avatarmake.avatar.performance import Performance
from avatarmake.errors import StageError
from avatarmake.formats.npz import write_npz
from avatarmake.geometry import cameras, rotations


@pytest.fixture(scope="module")
def performance() -> Performance:
    rng = np.random.default_rng(0)
    turn = np.stack([0 * np.arange(5), 0.1 * np.arange(5), 0 * np.arange(5)], 1)
    return Performance(
        head_model="open",
        head_model_digest="ab" * 32,
        fps=25.0,
        times=np.array([0, 0.04, 0.08, 0.2, 0.24]),
        expression=rng.normal(size=(5, 100)).astype(np.float32),
        jaw_pose=rng.normal(size=(5, 3)).astype(np.float32),
        eye_pose=rng.normal(size=(5, 6)).astype(np.float32),
        eyelids=rng.uniform(size=(5, 2)).astype(np.float32),
        R=(cameras.FLIP @ rotations.matrix_from_axis_angle(turn)).astype(np.float32),
        t=rng.normal(size=(5, 3)).astype(np.float32),
        intrinsics=cameras.intrinsics_from_focal(1400, (512, 512)).astype(np.float32),
        image_size=(512, 512),
    )


def test_it_is_read_as_it_was_written(performance, tmp_path):
    performance.write(tmp_path / "a.npz")
    again = Performance.read(tmp_path / "a.npz")
    for name, value in vars(performance).items():
        assert np.array_equal(value, getattr(again, name)), name
    again.write(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_s_own_files_are_read_and_further_keys_let_be(performance, tmp_path):
    performance.write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as npz:
        arrays = dict(npz)
    np.savez_compressed(tmp_path / "b.npz", **arrays, comment="by hand")
    assert np.array_equal(Performance.read(tmp_path / "b.npz").expression, performance.expression)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("jaw_pose"), "it has no jaw_pose"),
        (lambda a: a.update(version=np.int64(2)), "is of version 2"),
        (lambda a: a.update(expression=a["expression"][:, :50]), r"expression is \(5, 50\), expected \(5, 100\)"),
        (lambda a: a.update(times=a["times"][::-1].copy()), "times do not rise at frame 1"),
        (lambda a: a.update(R=2 * a["R"]), "is no rotation"),
        (lambda a: a["eyelids"].fill(np.nan), "eyelids holds what is no number"),
        (lambda a: a.update(fps=np.float64(0)), "above 0"),
        (lambda a: a.update(head_model=np.int64(3)), "no texts"),
        (lambda a: a.update({k: v[:0] for k, v in a.items() if len(v.shape) and len(v) == 5}), "holds no frame"),
    ],
)
def test_what_is_wrong_is_said(performance, tmp_path, change, said):
    performance.write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as npz:
        arrays = dict(npz)
    change(arrays)
    write_npz(tmp_path / "b.npz", arrays)
    with pytest.raises(StageError, match=said):
        Performance.read(tmp_path / "b.npz")


def test_what_is_no_npz_is_refused(performance, tmp_path):
    (tmp_path / "a.npz").write_text("times, jaw")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(StageError, match="is no readable .npz|is not there"):
            Performance.read(tmp_path / name)
    with pytest.raises(StageError, match="no rotation"):
        replace(performance, R=performance.R * 0).write(tmp_path / "c.npz")
    assert not (tmp_path / "c.npz").exists()


def test_between_frames_it_goes_straight_and_is_held_at_the_ends(performance):
    p = performance.at(np.array([-1, 0.04, 0.14, 0.23, 9]))
    assert np.array_equal(p.expression[0], performance.expression[0])
    np.testing.assert_allclose(p.expression[1], performance.expression[1], rtol=1e-6)
    np.testing.assert_allclose(p.jaw_pose[2], performance.jaw_pose[2:4].mean(0), atol=1e-6)
    assert np.array_equal(p.t[4], performance.t[4])
    turned = rotations.axis_angle_from_matrix(cameras.FLIP @ p.R)[:, 1]
    np.testing.assert_allclose(turned, [0, 0.1, 0.25, 0.375, 0.4], atol=1e-5)


def test_one_frame_is_held_for_ever(performance):
    arrays = ("times", "expression", "jaw_pose", "eye_pose", "eyelids", "R", "t")
    one = replace(performance, **{name: getattr(performance, name)[:1] for name in arrays})
    assert np.array_equal(one.at(np.array([0.0, 3.0])).eyelids, performance.eyelids[[0, 0]])


def test_a_dataset_s_own(trained):
    dataset = trained[1].dataset
    own = tracked.of_dataset(dataset.root, "small")
    assert len(own) == len(dataset) and np.array_equal(own.jaw_pose, dataset.jaw_pose)
    assert np.array_equal(own.t, dataset.translation) and own.times[1] == 1 / 25
