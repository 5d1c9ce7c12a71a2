"""The rules for FlashAvatar, on small sources of our own with the same constructs; they are run, not only read."""

import importlib
import os
import pickle
import sys

import numpy as np
import pytest
import torch

from avatarmake import patches
from avatarmake.formats import torch_archive
from avatarmake.formats.frame import write_frame
from avatarmake.patches import rewriting, series
from stages.convert.record import convert
from tests.synthetic import performance

SCENE = """
import torch
from scene.cameras import Camera


def first_number(path):
    return float(torch.load(path)["opencv"]["R"][0].transpose()[0, 0])
"""
CAMERAS = """
import torch


class Camera:
    def __init__(self, device):
        self.data_device = torch.device(device)
        self.matrix = torch.eye(4).transpose(0, 1).cuda()
        self.other = (torch.eye(4) + 1).cuda()


def elsewhere(tensor):
    return tensor.cuda()
"""


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "__init__.py").write_text(SCENE)
    (tmp_path / "scene" / "cameras.py").write_text(CAMERAS)
    return tmp_path


@pytest.fixture
def scene(sources, monkeypatch):
    """() -> the module, as it is on disk now. What it imports stays loaded: torch alone takes seconds."""
    monkeypatch.syspath_prepend(sources)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in [name for name in os.environ if name.startswith("TORCH_FORCE")]:
        monkeypatch.delenv(name)

    def forgotten():
        for name in [name for name in sys.modules if name.split(".")[0] == "scene"]:
            del sys.modules[name]

    def imported():
        forgotten()
        return importlib.import_module("scene")

    allowed = torch.serialization.get_safe_globals()
    yield imported
    forgotten()
    torch.serialization.clear_safe_globals()  # what frame_arrays.py allows is for all of this process
    torch.serialization.add_safe_globals(allowed)


def test_each_place_is_found_once(sources):
    assert patches.rehearse("FlashAvatar", sources) == {
        "arrays-in-frames": 1,
        "overlay/scene/frame_arrays.py": 1,
        "camera-on-its-device": 2,  # and not the one outside of Camera
    }
    assert "return tensor.cuda()" in (sources / "scene" / "cameras.py").read_text()


def test_patched_it_reads_frames_needs_no_gpu_and_runs_nothing(sources, scene):
    """torch's reader stays the careful one: what arrays need is allowed, and no other name."""

    class Attack:
        def __reduce__(self):
            return (open, (str(sources / "attacked"), "w"))

    record = convert(performance(3), "the test")
    write_frame(sources / "good.frame", record, 0)
    torch_archive.dump({"opencv": Attack()}, sources / "bad.frame")
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):  # so the rule is needed
        scene().first_number(sources / "good.frame")
    patches.rehearse("FlashAvatar", sources)
    patched = scene()
    camera = patched.Camera("cpu")
    assert patched.first_number(sources / "good.frame") == float(np.float32(record.R[0, 0]))
    assert camera.matrix.device.type == camera.other.device.type == "cpu"
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL io.open"):
        patched.first_number(sources / "bad.frame")
    assert not (sources / "attacked").exists()


def test_applied_twice_is_said(sources):
    patches.rehearse("FlashAvatar", sources)
    again = rewriting.apply(series.load("FlashAvatar"), sources)
    states = {outcome.step.id: outcome.state for outcome in again}
    assert states["camera-on-its-device"] == rewriting.APPLIED
    assert states["arrays-in-frames"] == rewriting.APPLIED
