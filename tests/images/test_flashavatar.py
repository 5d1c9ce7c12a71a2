"""FlashAvatar in its image: no network, a read-only root, the patched copy and the assets read-only."""

import json

import pytest

from avatarmake import head_model
from avatarmake.engine import docker
from avatarmake.errors import Exit
from tests.flashavatar.conftest import patched, weights  # noqa: F401
from tests.flashavatar_tree import subject as subjects
from tests.images.test_images import start

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")


def test_three_steps_through_the_image(patched, weights, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(weights))
    monkeypatch.setenv("AVATARMAKE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TRAINER", "flashavatar")
    subject = subjects.write(tmp_path / "data", 12, "flame", head_model.load("flame").digest)
    before = sorted(patched.rglob("*"))

    def run() -> str:
        process = start("train", subject.name, f"--data={subject.data}", "--iterations=3", "--resolution=256")
        said, _ = process.communicate(timeout=600)
        assert process.returncode == Exit.OK, said
        return said

    assert "engine docker" in run()
    done = json.loads((subject.directory("avatar") / "stage.json").read_text())
    assert done["stage"] == "flashavatar" and done["environment"]["engine"] == "docker"
    assert (done["facts"]["frames_in"], done["facts"]["frames_out"], done["facts"]["device"]) == (12, 10, "cpu")
    assert sorted(patched.rglob("*")) == before
    assert "nothing to do" in run()
