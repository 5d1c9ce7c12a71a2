"""The rules, on small sources of our own that have upstream's constructs: what they become, and what they then do."""

import ast
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

GONE = ("face_alignment", "face_parser", "FaceParsing", "FLAMETex", "flametex", "Renderer", "o3d_utils", "fitting_util")
GONE += ("parsing", "run_fitting_photometric", "rendered", "pytorch3d", "fan_face_landmarks", "tex_space_path")


def names(path: Path) -> set[str]:
    """Every name, attribute, imported module and string of a source."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for key in ("id", "attr", "name", "module", "value"):
            value = getattr(node, key, None)
            if isinstance(value, str):
                found |= {value, *value.split(".")}
    return found


@pytest.fixture
def tracker(small, monkeypatch):
    """The patched Tracker, with stand-ins for the networks; `calls` says what it asked for."""
    calls = []

    def module(name, **values):
        made = ModuleType(name)
        vars(made).update(values)
        monkeypatch.setitem(sys.modules, name, made)

    def called(name):
        return lambda *given, **named: calls.append((name, given, named)) or name

    module("utils.deca_inference_utils", create_deca_model=called("deca"), get_flame_code_from_deca=None)
    module("utils.mica_inference_utils", create_mica_model=called("mica"), get_shape_code_from_mica=None)
    module("utils.matting_utils", load_matting_model=called("matting"))
    module("landmark_mode", prepare=lambda tracker, img, realign: {"img": img, "landmarks": "dots", "realign": realign})
    module("submodules.flame_lib.FLAME", FLAME=lambda config: config)
    monkeypatch.syspath_prepend(str(small))
    import tracker_base

    def make(**options):
        paths = {"flame_model_path": "f", "deca_model_path": "d", "mica_model_path": "m", "matting_model_path": "r"}
        return tracker_base.Tracker({"device": "cpu", **paths, **options})

    return SimpleNamespace(make=make, calls=calls)


def test_what_landmark_fitting_does_not_need_is_gone(small):
    left = names(small / "tracker_base.py") | names(small / "utils" / "general_utils.py")
    assert not left & set(GONE)


def test_networks_come_from_files(tracker):
    made = tracker.make()
    assert tracker.calls == [("deca", ("d", "cpu"), {}), ("mica", ("m", "cpu"), {})]
    assert made.flame_cfg.flame_model_path == "f" and made.flame_cfg.cropped_size == 256


@pytest.mark.parametrize(("options", "loaded"), [({}, 0), ({"use_matting": False}, 0), ({"use_matting": True}, 1)])
def test_matting_model_is_loaded_only_when_asked_for(tracker, options, loaded):
    made = tracker.make(**options)
    assert sum(name == "matting" for name, _, _ in tracker.calls) == loaded
    assert made.use_matting == bool(loaded)


def test_mediapipe_is_the_only_detector(tracker):
    made = tracker.make()
    assert made.landmark_detector == "mediapipe"
    with pytest.raises(AssertionError):
        made.set_landmark_detector("FAN")


def test_results_keep_the_pixels_and_the_detections(tracker):
    got = tracker.make().run("pixels")
    assert (got["img"], got["landmarks"], got["lmks_68_fitted"]) == ("pixels", "dots", "places")
    assert not {"img_aligned", "img_rendered", "shape_rendered"} & got.keys()


def test_photometric_fitting_is_refused(tracker):
    with pytest.raises(ValueError, match="landmarks only"):
        tracker.make().run("pixels", photometric_fitting=True)


@pytest.mark.parametrize("steps", [200, 100, 31])
def test_learning_rate_drops_at_half(tracker, steps):
    rates = tracker.make(iterations=steps).run("pixels")["rates"]
    assert len(rates) == steps and rates.index(0.5) == steps // 2


def test_default_iterations_are_upstream_s(tracker):
    made = tracker.make()
    rates, rigid = made.run("pixels")["rates"], made.run_rigid()
    assert (len(rates), rates.index(0.5)) == (200, 100)
    assert ("slower", 1000) in rigid and rigid[0] == ("smooth", 601) and rigid[-1] == ("smooth", 1499)


def test_rigid_steps_move_with_their_number(tracker):
    rigid = tracker.make(rigid_iterations=300).run_rigid()
    assert ("slower", 200) in rigid and rigid[0] == ("smooth", 121) and rigid[-1] == ("smooth", 299)


def test_weights_are_not_run(tracker, tmp_path):
    class Harm:
        def __reduce__(self):
            return (print, ("run",))

    torch.save(Harm(), tmp_path / "ears.pth")
    with pytest.raises(Exception, match="[Ww]eights"):
        tracker.make(ears=tmp_path / "ears.pth")


def test_matting_holds_one_frame(small, monkeypatch):
    monkeypatch.syspath_prepend(str(small))
    from utils.matting_utils import matting_video_frames

    given = []

    def frames():
        for i in range(4):
            given.append(i)
            yield i

    matted = matting_video_frames(lambda frame: 10 * frame, frames())
    assert next(matted) == 0 and given == [0]
    assert list(matted) == [10, 20, 30]


def test_filter_exists_in_pillow(small, monkeypatch):
    from PIL import Image

    monkeypatch.syspath_prepend(str(small))
    from utils.image_utils import smaller

    assert smaller(Image.new("RGB", (16, 16)), twice=True).size == (4, 4)
    assert "ANTIALIAS" not in (small / "submodules" / "flame_fitting" / "fitting_util.py").read_text()


def test_face_points_similarity(small, monkeypatch):
    """Points that a similarity has moved go back to where they were."""
    monkeypatch.syspath_prepend(str(small))
    from utils.insightface_utils import arcface_dst, estimate_norm

    turn = 1.7 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    moved = arcface_dst @ turn.T + (40, -7)
    for side in (112, 224):
        m = estimate_norm(moved, image_size=side)
        np.testing.assert_allclose(moved @ m[:, :2].T + m[:, 2], arcface_dst * (side / 112), atol=1e-4)
        assert m[0, 0] == m[1, 1] and m[0, 1] == -m[1, 0]


def test_resnet50_needs_no_torchvision(small, monkeypatch):
    monkeypatch.syspath_prepend(str(small))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    from submodules.decalib.models.resnet import load_ResNet50Model

    assert load_ResNet50Model() == {}


@pytest.mark.filterwarnings("error")
def test_arcface_on_the_cpu_without_warnings(small, monkeypatch):
    monkeypatch.syspath_prepend(str(small))
    from submodules.MICA.models.arcface import Arcface

    assert Arcface().one(1) == 2 and Arcface().other(1) == 0


def test_flame_is_read_by_our_module(small, monkeypatch, tmp_path):
    """No pickle is run: what plain_files says is what the model gets."""
    monkeypatch.syspath_prepend(str(small))
    plain = ModuleType("plain_files")
    plain.flame_model = lambda file: {"from": Path(file.name).name}
    plain.landmark_embedding = lambda path: {"embedding": Path(path).name}
    monkeypatch.setitem(sys.modules, "plain_files", plain)
    (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    from submodules.flame_lib.FLAME import FLAME

    read = FLAME(SimpleNamespace(flame_model_path=tmp_path / "model.pkl", flame_lmk_embedding_path="e.npy"))
    assert read.model == {"from": "model.pkl"} and read.embedding == {"embedding": "e.npy"}
