"""The avatar without PyTorch is the one that was trained."""

import json
import shutil

import numpy as np
import pytest
import torch

from avatarmake import head_model
from avatarmake.avatar import tracked
from avatarmake.avatar.deformation import raw_code
from avatarmake.avatar.head import Parameters, head
from avatarmake.avatar.model import Avatar, view_of
from avatarmake.contract.layout import Subject
from avatarmake.errors import StageError
from stages.train.poses import Poses
from tests.avatar.conftest import torch_image
from tests.rounding import rounding


@pytest.fixture(scope="module")
def avatar(trained) -> Avatar:
    return Avatar.read(trained[0])


@pytest.mark.numbers
def test_what_is_learned_is_what_pytorch_says(trained, avatar):
    trainer = trained[1]
    own = tracked.of_dataset(trainer.dataset.root, "small")
    assert np.abs(avatar.deformation.out).max() > 0  # it has learned something
    for i in range(0, len(own), 5):
        raw = raw_code(*own.parameters(i), view_of(own.R[i])).astype(np.float32)
        np.testing.assert_allclose(raw, trainer.codes[i], atol=rounding(114) * np.abs(raw).max())
        with torch.no_grad():
            expected = trainer.avatar.network(torch.from_numpy(raw)).numpy()
        ours = avatar.deformation.learned(raw)
        # three products, one after the other, of 114, 32, 64 and 48 terms
        np.testing.assert_allclose(ours, expected, atol=rounding(114 * 48) * np.abs(expected).max())


@pytest.mark.numbers
def test_the_head_is_the_head_model_s(trained, avatar):
    dataset = trained[1].dataset
    own = tracked.of_dataset(dataset.root, "small")
    p = own.parameters(7)._replace(eye_pose=np.array([0.1, 0.2, 0, -0.1, 0.3, 0], np.float32))
    p = p._replace(eyelids=np.array([0.7, 0.2], np.float32))
    expected = dataset.model.vertices(dataset.shape, *(x[None] for x in p))[0]
    ours = avatar.head.vertices(p)
    corners = trained[1].avatar.surface.corners
    np.testing.assert_allclose(ours[avatar.surface.corners], expected[corners], atol=rounding(150) * 0.3)
    assert np.abs(ours - avatar.head.rest).max() > 0.005


@pytest.mark.numbers
def test_corrections_of_joints_are_a_part_of_the_basis():
    """As FLAME has them; the open head's are zero."""
    model = head_model.load("open")
    rng = np.random.default_rng(0)
    posed = np.zeros_like(model.posedirs)
    posed[:, ::7] = rng.normal(size=posed[:, ::7].shape) * 1e-3
    model = type(model)(**{**model.__dict__, "posedirs": posed})
    shape = rng.normal(size=300).astype(np.float32) * 0.3
    own, corners = head(model, shape, model.faces[:5000])
    p = Parameters(*(rng.normal(size=n).astype(np.float32) * 0.2 for n in (100, 3, 6, 2)))
    expected = model.vertices(shape, *(x[None] for x in p))[0]
    np.testing.assert_allclose(own.vertices(p)[corners], expected[model.faces[:5000]], atol=rounding(450) * 0.3)


@pytest.mark.numbers
def test_pictures_are_those_of_the_training(trained, avatar):
    trainer = trained[1]
    own = tracked.of_dataset(trainer.dataset.root, "small")
    body = avatar.body(own)
    assert np.abs(body.turn - np.eye(3)).max() > 0.05  # it does stay behind
    for i in (0, 11):
        expected = torch_image(trainer, i, own.R[i], own.t[i], 64)
        pixels = np.rint(expected[:3].clip(0, 1) * 255).transpose(1, 2, 0)
        ours = avatar.draw(own.parameters(i), own.R[i], own.t[i], avatar.camera(64), body=body.of(i))
        assert ours.dtype == np.uint8 and np.abs(ours - pixels).max() <= 1
        assert (ours != pixels).mean() < 0.01  # a value on the edge of two
        assert ours.std() > 20


def test_a_picture_without_a_ground_goes_over_any(trained, avatar):
    own = tracked.of_dataset(trained[1].dataset.root, "small")
    where = (own.parameters(3), own.R[3], own.t[3], avatar.camera(64))
    rgba = avatar.draw(*where, background=None).astype(np.float64) / 255
    ground = np.array([0.2, 0.5, 0.3])
    over = avatar.draw(*where, background=tuple(ground)).astype(np.float64) / 255
    alpha = rgba[..., 3:]
    assert alpha.min() == 0 and alpha.max() > 0.98
    # colours beyond 0..1 are cut before or after they are mixed: rare, and else two roundings
    far = np.abs(rgba[..., :3] * alpha + ground * (1 - alpha) - over) > 2.5 / 255
    assert far.mean() < 0.02


def test_a_camera_is_put_right_as_training_puts_an_unseen_one(trained, avatar):
    trainer = trained[1]
    poses: Poses = trainer.poses
    assert all(poses.steps[i] for i in trainer.split.train)
    own = tracked.of_dataset(trainer.dataset.root, "small")
    corrections = avatar.corrections(own)
    for i in trainer.split.held_out:
        ours = corrections.expected(avatar.code(own.parameters(i), own.R[i]))
        # codes differ by rounding; what they tell is given to six decimals
        np.testing.assert_allclose(ours, poses.expected(i), atol=1e-4)
        assert np.abs(ours).max() > 0.01


@pytest.mark.parametrize("damage", ["gone", "torn", "another"])
def test_a_damaged_checkpoint_is_named_with_the_way_out(trained, tmp_path, damage):
    shutil.copytree(trained[0].root, tmp_path / "small")
    subject = Subject(tmp_path, "small")
    path = subject.directory("avatar") / "checkpoint.pt"
    if damage == "gone":
        path.unlink()
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        torch.save({"surface": {}, "weights": torch.zeros(3)}, path)
    with pytest.raises(StageError) as refused:
        Avatar.read(subject)
    assert "checkpoint.pt" in str(refused.value)


def test_an_avatar_of_another_head_is_refused(trained, tmp_path):
    shutil.copytree(trained[0].root, tmp_path / "small")
    path = tmp_path / "small" / "refined" / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"head_model_digest": "0" * 64}))
    with pytest.raises(StageError, match="another version of head model 'open'"):
        Avatar.read(Subject(tmp_path, "small"))
