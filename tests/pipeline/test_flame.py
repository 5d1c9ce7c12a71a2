"""The whole pipeline on HEAD_MODEL=flame: a stand-in of FLAME's format, sizes and pose directions."""

import json
import shutil

import numpy as np
import pytest

from avatarmake import head_model
from avatarmake.contract.layout import Subject, checkpoint_file
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit
from avatarmake.formats.frame import read_frame
from tests import flame_model
from tests.pipeline.conftest import FRAMES, ORDER, run, run_here


def tracked(subject: Subject) -> dict:
    return json.loads((subject.directory("tracking") / "tracker.json").read_text())


@pytest.fixture(scope="module")
def with_flame(assets, tmp_path_factory):
    """AVATARMAKE_ASSETS with FLAME 2020 in it instead of the suite's empty one, and a cache."""
    folder = tmp_path_factory.mktemp("assets")
    flame_model.write(folder / "flame2020" / "generic_model.pkl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVATARMAKE_ASSETS", str(folder))
        patch.setenv("AVATARMAKE_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def flame(demo, with_flame, tmp_path_factory) -> Subject:
    """The demo's frames, from tracking on with FLAME."""
    subject = Subject(tmp_path_factory.mktemp("volume"), "demo")
    for directory in ("source", "frames"):
        shutil.copytree(demo.directory(directory), subject.directory(directory))
    done = run("track", subject, "--head-model", "flame")  # anew: worker processes have the assets of when they began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "head model flame" in done.stdout and "computed" in done.stdout
    for stage in ORDER[ORDER.index("track") + 1 :]:
        assert run_here(stage, subject) == Exit.OK, stage
    return subject


def test_flame_follows_the_face_as_the_open_head_does(flame, demo):
    ours, theirs = tracked(flame), tracked(demo)
    assert ours["head_model"] == "flame" and ours["head_model_digest"] == head_model.load("flame").digest
    assert ours["head_model_sources"]["model"] == "generic_model.pkl"
    assert len(ours["tracked"]) == FRAMES
    assert ours["quality"]["landmark_error_pct"]["median"] < 1.5 * theirs["quality"]["landmark_error_pct"]["median"]
    assert ours["quality"]["jitter_px"] < 1.5 * theirs["quality"]["jitter_px"]


def reported(subject: Subject) -> dict:
    return json.loads((subject.directory("report") / "metrics.json").read_text())


def test_what_it_found_is_what_happened(flame, demo):
    truth, ours = (reported(s)["tracking"]["truth"] for s in (flame, demo))
    assert truth["jaw_correlation"] > ours["jaw_correlation"] - 0.2
    for side, found in truth["eyelid_correlation"].items():
        assert found > ours["eyelid_correlation"][side] - 0.2
    assert truth["landmark_error_px"]["median"] < 1.3 * ours["landmark_error_px"]["median"]
    assert truth["expression_correlation"] is None  # FLAME's directions are not the demo's
    assert reported(flame)["convert"]["reprojection_px_max"] < 0.01
    page = (flame.directory("report") / "index.html").read_text()
    assert "head position, sideways and in depth" in page


def test_masks_and_avatar_are_as_good_as_on_the_open_head(flame, demo):
    for name in ("neckhead_area_median", "mouth_area_median"):
        ours, theirs = (receipt(s.directory("masks"))["facts"][name] for s in (flame, demo))
        assert ours == pytest.approx(theirs, rel=0.15), name
    ours, theirs = (reported(s)["avatar"] for s in (flame, demo))
    assert ours["blocks"]["psnr_head"] > theirs["blocks"]["psnr_head"] - 3


def test_eyes_and_jaw_reach_the_dataset(flame):
    records = [read_frame(checkpoint_file(flame.directory("dataset"), i)) for i in range(FRAMES)]
    assert np.ptp([r.jaw_rot6d for r in records], axis=0).max() > 0.02
    assert np.ptp([r.eyelids for r in records], axis=0).max() > 0.3


def test_another_flame_is_refused_and_named(flame, tmp_path, monkeypatch, capsys):
    content = {**flame_model.arrays(), "v_template": flame_model.arrays()["v_template"] * 1.001}
    flame_model.write(tmp_path / "flame2020" / "generic_model.pkl", content)
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path))
    for stage, options in (("convert", ["--force"]), ("mask", ["--force"])):
        assert run_here(stage, flame, *options) == Exit.BAD_INPUT
        assert "another version of head model 'flame'" in "".join(capsys.readouterr())
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "none"))
    assert run_here("convert", flame, "--force") == Exit.MISSING_ASSET
    assert "flame.is.tue.mpg.de" in capsys.readouterr().err
