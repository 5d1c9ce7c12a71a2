"""The rules, on small sources of our own that have upstream's constructs: what they become, and what they then do."""

import ast
import importlib
import os
import pickle
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from avatarmake import patches
from avatarmake.formats import torch_archive
from avatarmake.formats.frame import write_frame
from avatarmake.patches import rewriting, series
from stages.convert.record import convert
from tests.flashavatar import small_sources
from tests.synthetic import performance

COUNTS = {  # as many places as the rules expect in the checkout itself
    step.id: step.expect for step in series.load("FlashAvatar").steps
}
GONE = ("pytorch3d", "simple_knn", "diff_gaussian_rasterization", "lpips", "plyfile", "skimage", "loguru", "pickle")


@pytest.fixture
def sources(tmp_path) -> Path:
    for name, text in small_sources.FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def module(sources, monkeypatch):
    """module("scene") -> it, as it is on disk now. What it imports stays loaded: torch alone takes seconds."""
    monkeypatch.syspath_prepend(sources)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in [name for name in os.environ if name.startswith("TORCH_FORCE")]:
        monkeypatch.delenv(name)

    def imported(name: str) -> ModuleType:
        for old in [m for m in sys.modules if m.split(".")[0] == name.split(".")[0]]:
            del sys.modules[old]
        return importlib.import_module(name)

    return imported


@pytest.fixture
def patched(sources, module, monkeypatch):
    """`module`, of patched sources; the files that they read are told by a stand-in of plain_files."""
    assert patches.rehearse("FlashAvatar", sources) == COUNTS
    plain = ModuleType("plain_files")
    plain.flame_model = lambda file: {"from": Path(file.name).name}
    plain.eyelid = lambda path: sources / Path(path).name
    plain.no_landmarks = dict
    plain.mesh = lambda path: sources / Path(path).name
    plain.masks = lambda: {"boundary": [1, 2]}
    monkeypatch.setitem(sys.modules, "plain_files", plain)
    return module


def test_what_is_compiled_for_cuda_is_not_imported(sources, patched):
    for name in small_sources.FILES:
        tree = ast.parse((sources / name).read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {(getattr(n, "module", None) or n.names[0].name).split(".")[0] for n in nodes}
        assert not names & set(GONE), name


def test_outside_of_what_is_used_nothing_changes(sources, patched):
    assert "return tensor.cuda()" in (sources / "scene" / "cameras.py").read_text()
    assert 'torch.tensor(PlyData.read(path), device="cuda")' in (sources / "scene" / "gaussian_model.py").read_text()
    assert "torch.from_numpy(imread(path)).cuda()" in (sources / "flame" / "flame_mica.py").read_text()


def test_frames_are_read_without_a_gpu_and_run_nothing(sources, module):
    """torch's reader stays the careful one: what arrays need is allowed, and no other name."""

    class Attack:
        def __reduce__(self):
            return (open, (str(sources / "attacked"), "w"))

    record = convert(performance(3), "the test")
    write_frame(sources / "good.frame", record, 0)
    torch_archive.dump({"opencv": Attack()}, sources / "bad.frame")
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global"):  # so the rule is needed
        module("scene").first_number(sources / "good.frame")
    patches.rehearse("FlashAvatar", sources)
    scene = module("scene")
    camera = scene.Camera("cpu")
    assert scene.first_number(sources / "good.frame") == float(np.float32(record.R[0, 0]))
    assert camera.matrix.device.type == camera.other.device.type == "cpu"
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL io.open"):
        scene.first_number(sources / "bad.frame")
    assert not (sources / "attacked").exists()


def test_gaussians_live_where_their_points_do(patched):
    gaussians = patched("scene.gaussian_model").GaussianModel()
    gaussians.create_from_verts(torch.zeros(5, 3))
    gaussians.training_setup()
    kept = [value for value in vars(gaussians).values() if isinstance(value, torch.Tensor)]
    assert len(kept) == 8 and {value.device.type for value in kept} == {"cpu"}


def test_the_screen_is_where_they_are(patched):
    class Points:
        get_xyz = torch.zeros(4, 3)

    screen, rasteriser = patched("gaussian_renderer").render(Points)
    assert screen.device.type == "cpu" and rasteriser.__module__ == "splatting"


def test_three_gaussians_are_crossed_one_by_one(patched, recwarn):
    a, b = torch.eye(3), torch.eye(3).roll(1, 1)
    product = patched("utils.general_utils").product(a, b)
    np.testing.assert_array_equal(product.numpy(), np.cross(a.numpy(), b.numpy()))
    assert not recwarn.list


def test_flame_is_read_from_the_assets(sources, patched):
    """No pickle is run: what plain_files says is what the model gets."""
    (sources / "model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    for name in ("l_eyelid.npy", "r_eyelid.npy"):
        np.save(sources / name, np.full((5, 3), ord(name[0])))
    flame = patched("flame")
    config = type("Config", (), {"flame_geom_path": sources / "model.pkl", "flame_lmk_path": "nowhere.npy"})
    made = flame.FLAME_mica(config)
    assert made.model == {"from": "model.pkl"} and made.spots == ({}, {})
    assert (made.l_eyelid[0, 0], made.r_eyelid[0, 0]) == (ord("l"), ord("r"))
    points = torch.rand(1, 5, 3)
    np.testing.assert_array_equal(made.forward(points), points)
    np.testing.assert_array_equal(made.forward_geo(points), points)


def test_mesh_and_masks_are_read_from_the_assets(sources, patched):
    (sources / "FlameMesh.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/3 2/1 3/2\n")
    made = patched("src.deform_model").Deform_Model()
    assert made.boundary == [1, 2]
    assert made.faces.verts_idx.tolist() == [[0, 1, 2]] and made.faces.textures_idx.tolist() == [[2, 0, 1]]


def test_its_scripts_take_the_device_that_is_there(sources, patched):
    there = "cuda" if torch.cuda.is_available() else "cpu"
    ran = {name: runpy.run_path(str(sources / name)) for name in ("train.py", "test.py")}
    assert {name: values["args"].device for name, values in ran.items()} == {"train.py": there, "test.py": there}
    assert type(ran["train.py"]["seen"]).__module__ == "perceptual"


def test_applied_twice_is_said(sources):
    patches.rehearse("FlashAvatar", sources)
    again = rewriting.apply(series.load("FlashAvatar"), sources)
    states = {outcome.step.id: outcome.state for outcome in again}
    known = {step.id for step in series.load("FlashAvatar").steps if getattr(step, "applied", None)}
    assert len(known) > 10 and {states[name] for name in known} == {rewriting.APPLIED}
