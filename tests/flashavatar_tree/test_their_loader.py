"""FlashAvatar's own loader reads the tree, and sees the frames, cameras, pictures and parameters that we see.

Needs the real checkout (upstream/FlashAvatar), which is not part of the project.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarmake import flashavatar_tree, head_model, patches
from avatarmake.contract import layout
from avatarmake.errors import Exit, StageError
from avatarmake.formats import images
from avatarmake.formats.frame import read_frame
from avatarmake.geometry import cameras, rotations
from stages.convert import check
from stages.flashavatar.frames import Frames
from stages.train.dataset import Dataset
from stages.train.losses import HEAD, MOUTH
from tests.flashavatar_tree import subject as subjects
from tests.flashavatar_tree.their_loader import KEPT

FRAMES = 520  # it tests on the last 500, so it trains on 20
SIDE = layout.IMAGE_SIZE
KINDS = {"train": range(0, 20), "test": range(20, 520), "eval": range(470, 520)}
FLOAT32 = 2e-6  # relative: a few roundings


@pytest.fixture(scope="module")
def checkout():
    try:
        return patches.prepare("FlashAvatar")
    except StageError as e:
        if e.exit != Exit.MISSING_ASSET:
            raise
        pytest.skip(f"needs FlashAvatar's checkout: {e}")


@pytest.fixture(scope="module")
def ours(checkout, tmp_path_factory):
    digest = head_model.load("open").digest
    subject = subjects.write(tmp_path_factory.mktemp("data"), FRAMES, "open", digest)
    return Dataset(subject.directory("dataset"), subject.directory("masks"), subject.name)


@pytest.fixture(scope="module")
def landmarks(ours):
    """(F,L,3) float32: the head model's landmarks in every frame, in its own space."""
    head = ours.model.at_landmarks(ours.model.landmark_ids)
    return head.vertices(ours.shape, ours.expression, ours.jaw_pose, ours.eye_pose, ours.eyelids).astype(np.float32)


@pytest.fixture(scope="module")
def theirs(checkout, ours, landmarks, tmp_path_factory):
    """What their loader read, `kind.name` -> array."""
    folder = tmp_path_factory.mktemp("tree")
    subject = layout.Subject(ours.root.parents[1], ours.subject)
    flashavatar_tree.make(subject, folder, copy=False)
    np.save(folder / "points.npy", landmarks)
    script = Path(__file__).with_name("their_loader.py")
    words = [sys.executable, script, checkout, subject.name, "points.npy", "read.npz"]
    # Pictures go back to the system when they are let go of, or glibc's heap grows to 5 GB
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "262144"}
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "read.npz") as read:
        return dict(read)


@pytest.mark.parametrize("kind", KINDS)
def test_frames(theirs, kind):
    assert theirs[f"{kind}.frames"] == FRAMES
    assert theirs[f"{kind}.uid"].tolist() == list(KINDS[kind])
    assert set(theirs[f"{kind}.image_width"]) == set(theirs[f"{kind}.image_height"]) == {SIDE}


@pytest.mark.parametrize("kind", KINDS)
def test_cameras(theirs, ours, kind):
    view = np.tile(np.eye(4), (FRAMES, 1, 1))
    view[:, :3, :3], view[:, :3, 3] = ours.rotation, ours.translation
    view = view[KINDS[kind].start :][: len(KINDS[kind])]
    np.testing.assert_allclose(theirs[f"{kind}.world_view_transform"], view.swapaxes(1, 2), atol=FLOAT32)
    np.testing.assert_allclose(theirs[f"{kind}.camera_center"], np.linalg.inv(view)[:, :3, 3], atol=FLOAT32)
    focal = ours.camera(SIDE).fx, ours.camera(SIDE).fy
    for fov, f in zip((theirs[f"{kind}.FoVx"], theirs[f"{kind}.FoVy"]), focal, strict=True):
        np.testing.assert_allclose(SIDE / (2 * np.tan(fov / 2)), f, rtol=FLOAT32)
    projection = theirs[f"{kind}.projection_matrix"]
    np.testing.assert_allclose(projection[:, 0, 0] * SIDE / 2, focal[0], rtol=FLOAT32)
    np.testing.assert_allclose(projection[:, 1, 1] * SIDE / 2, focal[1], rtol=FLOAT32)
    full = theirs[f"{kind}.world_view_transform"].astype(np.float64) @ projection
    np.testing.assert_allclose(theirs[f"{kind}.full_proj_transform"], full, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_land_where_ours_do(theirs, ours, landmarks, kind):
    """Their projection of our head model's landmarks, K's cx and cy ignored, against ours with the whole K."""
    frames = list(KINDS[kind])
    shown = (theirs[f"{kind}.ndc"].astype(np.float64) + 1) / 2 * SIDE  # pixel centres at +0.5, as everywhere here
    seen = cameras.project(landmarks[frames], ours.rotation[frames], ours.translation[frames], ours.intrinsics)
    assert 0 < seen.min() and seen.max() < SIDE
    assert np.abs(shown - seen).max() < 0.01
    records = [read_frame(layout.checkpoint_file(ours.root, i)) for i in frames]
    first = read_frame(layout.checkpoint_file(ours.root, 0))
    head = ours.model.at_landmarks(ours.model.landmark_ids)
    assert np.abs(shown - check.seen_by_trainer(records, first, head, SIDE)).max() < 0.01  # so convert's check is right


@pytest.mark.parametrize("kind", KINDS)
def test_parameters(theirs, ours, kind):
    frames = list(KINDS[kind])
    np.testing.assert_array_equal(theirs[f"{kind}.shape"][0], ours.shape)
    np.testing.assert_array_equal(theirs[f"{kind}.exp_param"][:, 0], ours.expression[frames])
    np.testing.assert_array_equal(theirs[f"{kind}.eyelids"][:, 0], ours.eyelids[frames])
    for name, pose, joints in (("jaw_pose", ours.jaw_pose, 1), ("eyes_pose", ours.eye_pose, 2)):
        matrices = rotations.matrix_from_axis_angle(pose[frames].astype(np.float64).reshape(-1, joints, 3))
        rows = matrices[..., :2, :].reshape(len(frames), -1)  # PyTorch3D's 6D, which FlashAvatar undoes
        np.testing.assert_allclose(theirs[f"{kind}.{name}"][:, 0], rows, atol=FLOAT32)
    assert {theirs[f"{kind}.{name}"].dtype for name in ("shape", "exp_param", "jaw_pose")} == {np.dtype(np.float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_and_masks(theirs, ours, kind):
    kept = theirs[f"{kind}.kept"].tolist()
    assert kept == [i for i in KINDS[kind] if i % KEPT == 0] and kept
    shown = Frames(None, ours, (1.0, 1.0, 1.0), torch.device("cpu"))
    for k, i in enumerate(kept):
        picture = shown.picture(i, SIDE)  # composited on white as theirs, in whole levels
        assert np.abs(theirs[f"{kind}.original_image"][k] * 255 - picture.pixels).max() < 0.501
        head = images.read_mask(layout.parsing_mask(ours.masks, i + 1, "neckhead"))
        mouth = images.read_mask(layout.parsing_mask(ours.masks, i + 1, "mouth"))
        np.testing.assert_array_equal(theirs[f"{kind}.head_mask"][k, 0], head / np.float32(255))
        np.testing.assert_array_equal(theirs[f"{kind}.mouth_mask"][k, 0], mouth / np.float32(255))
        np.testing.assert_array_equal(theirs[f"{kind}.mouth_mask"][k, 0] > 0.5, picture.labels & MOUTH > 0)
        assert 0 < (picture.labels & HEAD > 0).mean() < 1 and 0 < mouth.mean() / 255 < 0.1


def test_green_where_the_head_is_not(theirs):
    """Its default background: the tree says nothing of one."""
    corner, middle = theirs["green"][:, 0, 0], theirs["green"][:, SIDE // 2, SIDE // 2]
    np.testing.assert_array_equal(corner, [0, 1, 0])
    assert np.abs(middle - [0, 1, 0]).max() > 0.1
