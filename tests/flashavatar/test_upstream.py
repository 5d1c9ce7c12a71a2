"""Ours against upstream's own: its loop, its FLAME, its camera. Needs the real checkout (upstream/FlashAvatar)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarmake import ROOT, flashavatar_tree, head_model
from avatarmake.avatar.rasteriser import Camera
from avatarmake.geometry import cameras
from stages.flashavatar import GROUNDS, STAGE, upstream
from stages.flashavatar.frames import Frames, rot6d
from stages.flashavatar.trainer import Schedule, Trainer
from stages.train.dataset import Dataset
from stages.train.rasteriser import rasterise
from stages.train.split import Split
from tests.synthetic import performance

STEPS, FRAMES = 20, 520  # it holds out the last 500 frames, so it trains on 20
CPU = torch.device("cpu")


@pytest.fixture
def flash(patched, environment, monkeypatch) -> upstream.FlashAvatar:
    monkeypatch.setenv("AVATARMAKE_UPSTREAM", str(patched))
    return upstream.load(STAGE)


def dataset_of(subject) -> Dataset:
    return Dataset(subject.directory("dataset"), subject.directory("masks"), subject.name)


def test_the_first_losses_are_those_of_its_own_loop(patched, flash, tracked, tmp_path, monkeypatch):
    subject = tracked(FRAMES)
    flashavatar_tree.make(subject, tmp_path, copy=False)
    out = tmp_path / "theirs.json"
    options = ["--idname", subject.name, "--iterations", str(STEPS)]
    words = [sys.executable, Path(__file__).with_name("their_training.py"), patched, out, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(out.read_text())
    assert len(theirs["losses"]) == STEPS and len(set(theirs["frames"])) == STEPS

    monkeypatch.setattr(Schedule, "frame", lambda schedule, step, train: theirs["frames"][step])
    schedule, split = Schedule(STEPS, 512, seed=0), Split(tuple(range(STEPS)), (), ())
    trainer = Trainer(flash, dataset_of(subject), split, schedule, GROUNDS["green"], CPU)
    ours = [trainer.step()[0] for _ in range(STEPS)]
    np.testing.assert_allclose(ours, theirs["losses"], rtol=1e-5)
    assert np.ptp(ours) > 0.1 * max(ours)  # frames differ, and so do steps


def test_its_head_is_our_head(flash):
    """Its FLAME and ours, posed alike: within float32's roundings of a head of a quarter of a metre."""
    model = head_model.load("flame")
    theirs = flash.Deform_Model(CPU).flame_model
    worst = 0.0
    for i in range(0, 40, 8):
        p = performance(i)
        closure = np.array([0.3, 0.9], np.float32)
        ours = model.vertices(p.shape, p.expression[None], p.jaw_pose[None], p.eye_pose[None], closure[None])[0]
        rows = {
            "shape_params": p.shape,
            "expression_params": p.expression,
            "jaw_pose_params": rot6d(p.jaw_pose),
            "eye_pose_params": rot6d(p.eye_pose),
            "eyelid_params": closure,
        }
        given = {name: torch.from_numpy(np.asarray(row, np.float32)[None]) for name, row in rows.items()}
        found = theirs.forward_geo(**given)
        worst = max(worst, float(np.abs(found[0].numpy() - ours[: len(found[0])]).max()))
    assert worst < 1e-6  # metres


def test_its_camera_is_our_camera(flash, tracked):
    """The mesh's vertices as small spots: where its render() puts them, and our rasteriser with our own camera."""
    dataset = dataset_of(tracked(12))
    frames = Frames(flash, dataset, GROUNDS["white"], CPU)
    points = torch.from_numpy(dataset.vertices(5)[:5023:7].copy())
    gaussians = flash.GaussianModel(3)
    gaussians.create_from_verts(points)
    with torch.no_grad():
        gaussians._scaling.fill_(np.log(5e-4))
        gaussians._opacity.fill_(2.0)
        camera = frames.camera(5, 512, compared=False)
        theirs = flash.render(camera, gaussians, flash.pipeline, torch.ones(3))["render"].numpy()
    n = len(points)
    k = dataset.intrinsics
    rotation, translation = (torch.from_numpy(x[5]) for x in (dataset.rotation, dataset.translation))
    spots = (points, 5e-4 * torch.eye(3).repeat(n, 1, 1), torch.sigmoid(torch.full((n,), 2.0)), torch.full((n, 3), 0.5))
    ours = rasterise(*spots, rotation, translation, Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], 512, 512)).numpy()[:3]
    assert (theirs < 0.9).mean() > 0.01
    assert np.abs(theirs - ours).max() < 2e-3

    project = camera.full_proj_transform.double().numpy()
    clip = np.c_[points.double().numpy(), np.ones(n)] @ project
    shown = (clip[:, :2] / clip[:, 3:] + 1) / 2 * 512
    seen = cameras.project(points.numpy(), dataset.rotation[5], dataset.translation[5], k)
    assert np.abs(shown - seen).max() < 0.02  # pixels: its K is the first frame's, its centre the picture's
