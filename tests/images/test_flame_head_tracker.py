"""The real upstream in its image: no network, a read-only root, the patched copy and the assets read-only."""

import json
import shutil

import pytest

from avatarmake.contract.layout import Subject
from avatarmake.engine import docker
from avatarmake.errors import Exit
from tests.flame_head_tracker.conftest import BATCH, BLANK, FRAMES, patched, subject, weights  # noqa: F401
from tests.images.test_images import start

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")


def run(stage: str, film: Subject, *options: str) -> str:
    process = start("run", stage, film.name, f"--data={film.data}", *options)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == Exit.OK, said
    return said


def test_eight_frames_through_the_image(subject, patched, weights, tmp_path, monkeypatch):  # noqa: F811
    film = Subject(tmp_path, "wojtek")
    shutil.copytree(subject.directory("frames"), film.directory("frames"))
    monkeypatch.setenv("TRACKER", "flame-head-tracker")
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(weights))
    before = sorted(patched.rglob("*"))
    options = (f"--batch-size={BATCH}", "--iterations=4", "--rigid-iterations=120")
    assert "engine docker" in run("track", film, *options)
    done = json.loads((film.directory("tracking") / "stage.json").read_text())
    assert done["stage"] == "flame_head_tracker" and done["environment"]["engine"] == "docker"
    assert (done["facts"]["frames_out"], done["facts"]["missing"]) == (FRAMES - len(BLANK), list(BLANK))
    assert sorted(patched.rglob("*")) == before
    assert "nothing to do" in run("track", film, *options)
    run("convert", film)
    assert len(list(film.directory("dataset").glob("imgs/*.jpg"))) == FRAMES - len(BLANK)
