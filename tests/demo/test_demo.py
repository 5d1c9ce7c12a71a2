"""The demo subject: its truth is true, the real detector sees a face in it, and its blinks."""

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit
from avatarmake.geometry import cameras
from avatarmake.head_model import landmark_names as names
from stages.demo import STAGE, portrait, scene, script
from stages.demo.__main__ import run
from tests.rounding import rounding


@pytest.fixture(scope="module")
def model():
    return head_model.load("open")


@pytest.fixture(scope="module")
def who(model):
    return scene.subject(model, 0)


def decoded(path):
    import av

    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


FILM = ("--frames", "5", "--size", "96", "--fps", "20", "--seed", "1")


def make(tmp_path, *options):
    return command(STAGE, run, ["demo", "--data", str(tmp_path), *options])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Subject:
    data = tmp_path_factory.mktemp("data")
    assert make(data, *FILM) == Exit.OK
    return Subject(data, "demo")


def test_the_portrait_is_fitted(model):
    fit = portrait.fit()
    marks = model.landmarks(fit.vertices(model)[None])[0]
    off = np.linalg.norm(cameras.project(marks, fit.r, fit.t, fit.intrinsics) - portrait.landmarks(), axis=1)
    outer_eyes = np.linalg.norm(portrait.landmarks()[33] - portrait.landmarks()[263])
    assert np.median(off) < 0.005 * outer_eyes
    assert np.abs(fit.shape).max() < 3 and np.abs(fit.expression).max() < 4
    neutral = model.identity(fit.shape)
    assert np.linalg.norm(neutral[13] - neutral[14]) < 0.002  # the smile went into expression and jaw


def test_what_is_kept_of_the_fit_is_this_head_s(model):
    """Another head model is fitted anew. The solver stops where a step gains a thousandth: so much is open."""
    solved = portrait.split(portrait.solve(model, portrait.landmarks()))
    assert np.abs(portrait.fit().shape - solved[0]).max() < 0.005
    assert np.abs(portrait.fit().expression - solved[1]).max() < 0.005


def test_the_stage_writes_film_and_truth(made, model):
    film = decoded(made.video)
    assert film.shape == (5, 96, 96, 3)
    truth = np.load(made.truth)
    shapes = {"shape": (300,), "expression": (5, 100), "jaw_pose": (5, 3), "eye_pose": (5, 6), "eyelids": (5, 2)}
    shapes |= {"mask_frames": (1,), "mask_alpha": (1, 96, 96), "mask_head": (1, 96, 96)}
    shapes |= {"R": (5, 3, 3), "t": (5, 3), "intrinsics": (3, 3), "landmarks": (5, 478, 2), "image_size": (2,)}
    assert {k: truth[k].shape for k in shapes} == shapes and truth["fps"] == 20
    assert str(truth["head_model_digest"]) == model.digest
    points = model.vertices(
        truth["shape"], truth["expression"], truth["jaw_pose"], truth["eye_pose"], truth["eyelids"]
    ).astype(np.float64)
    marks = cameras.project(model.landmarks(points), truth["R"], truth["t"], truth["intrinsics"])
    # px: the truth is of vertices in float32, up to 0.3 m from the head's origin, seen at under 1e3 px a metre
    assert np.abs(marks - truth["landmarks"]).max() < 300 * rounding(20)
    assert np.allclose(truth["R"] @ truth["R"].transpose(0, 2, 1), np.eye(3), atol=rounding(3))


def test_the_same_seed_makes_the_same_bytes(made, tmp_path):
    assert make(tmp_path, *FILM) == Exit.OK
    again = Subject(tmp_path, "demo")
    assert again.video.read_bytes() == made.video.read_bytes() and again.truth.read_bytes() == made.truth.read_bytes()
    assert (script.perform(9, 25, 64, 1).expression != script.perform(9, 25, 64, 2).expression).any()


@pytest.mark.parametrize("option, value", [("--frames", "0"), ("--size", "65"), ("--fps", "0")])
def test_what_cannot_be_filmed_is_said(tmp_path, capsys, option, value):
    assert make(tmp_path, option, value) == Exit.USAGE
    assert "cannot film" in capsys.readouterr().err
    assert not (tmp_path / "demo" / "source").exists()


def test_another_person_acts_to_the_same_script(made, tmp_path, capsys):
    assert make(tmp_path, *FILM, "--person", "anna") == Exit.OK
    with np.load(made.truth) as a, np.load(Subject(tmp_path, "demo").truth) as b:
        for name in ("expression", "jaw_pose", "eye_pose", "eyelids", "R", "t"):
            assert np.array_equal(a[name], b[name])
        assert np.abs(a["shape"] - b["shape"]).max() > 0.5
        assert np.abs(a["landmarks"] - b["landmarks"]).max() > 1
    assert np.abs(decoded(made.video).astype(int) - decoded(Subject(tmp_path, "demo").video)).mean() > 3
    assert make(tmp_path, *FILM, "--person", "nobody") == Exit.USAGE
    assert "Use eileen or anna" in capsys.readouterr().err


def test_the_script_acts():
    act = script.perform(300, 25, 512, 0)
    angles = np.degrees(np.arctan2(act.r[:, 0, 2], act.r[:, 0, 0]))
    assert angles.min() < -18 and angles.max() > 18 and np.abs(angles).max() < 28
    closed = act.eyelids.min(1) > 0.8
    assert 4 <= np.diff(closed.astype(int)).clip(0).sum() <= 9  # blinks in 12 seconds
    assert act.eyelids.min() >= 0 and act.eyelids.max() <= 1
    assert act.jaw_pose[:, 0].max() > 0.1 and act.jaw_pose[:, 0].min() >= 0
    assert np.abs(np.diff(act.expression, axis=0)).max() < 0.35  # smooth


def test_the_detector_sees_the_face_where_the_truth_has_it_and_the_blinks(who):
    from avatarmake.detection import FaceMesh

    size, act = 512, script.perform(300, 25, 512, 0)
    behind, inside = scene.ground(size), np.setdiff1d(np.arange(478), names.FACE_OVAL)
    off, opening = [], []
    with FaceMesh(static=True) as mesh:
        for k in range(0, 300, 12):
            for closure in (0, 1):
                act.eyelids[k] = closure
                points = who.points(act, k)
                seen = mesh.detect(scene.render(who, points, act, k, size, behind))
                assert seen is not None, k
                truth = scene.landmarks(who, points, act, k)
                span = np.linalg.norm(truth[33] - truth[263])
                off.append(np.linalg.norm(seen[inside, :2] - truth[inside], axis=1) / span)
                for eye in (names.LEFT_EYE, names.RIGHT_EYE):
                    lids = np.linalg.norm(seen[list(eye.upper[2:7]), :2] - seen[list(eye.lower[2:7]), :2], axis=1)
                    opening.append((lids.mean() / span, closure))
    assert np.median(off) < 0.025
    opening = np.array(opening)
    assert np.corrcoef(-opening[:, 0], opening[:, 1])[0, 1] > 0.9


def test_the_true_masks_are_where_the_ground_is_hidden(who):
    act = script.perform(1, 25, 128, 0)
    points = who.points(act, 0)
    alpha, head = scene.masks(who, points, act, 0, 128)
    one, other = (scene.render(who, points, act, 0, 128, np.full((128, 128, 3), c, np.float32)) for c in (0, 255))
    through = (other.astype(float) - one).mean(-1)  # of the ground
    assert np.abs(255 - through - alpha).max() < 3  # each of the two is rounded
    assert (head <= alpha).all() and 0.5 < head.sum(dtype=int) / alpha.sum(dtype=int) < 0.98
    clothes = (alpha == 255) & (head == 0)
    assert head[64, 64] == 255 and clothes[96:].any() and not clothes[:64].any()


def test_the_silhouette_hides_the_ground(who):
    act = script.perform(1, 25, 128, 0)
    points = who.points(act, 0)
    one, other = (scene.render(who, points, act, 0, 128, np.full((128, 128, 3), c, np.float32)) for c in (0, 255))
    covered = (one == other).all(-1)
    assert 0.25 < covered.mean() < 0.7
    assert covered[80, 64] and not covered[4, 4]
    assert one[covered].astype(float).std() > 20  # and it is painted
