"""`make pack` and `make reproduce` with a stage that really runs, in its image."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.engine import docker
from avatarmake.pack import archive

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")


def command(*words: str) -> str:
    environment = os.environ | {"ENGINE": "docker", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "avatarmake", *words]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_same_image_on_the_same_processor_makes_the_same_bytes(tmp_path):
    data = f"--data={tmp_path}/data"
    command("run", "demo", "tiny", data, "--frames=3", "--size=128")
    command("pack", "tiny", data, f"--to={tmp_path}", "--diff")
    file = tmp_path / f"tiny{archive.SUFFIX}"
    assert archive.read(file)["images"] == {"demo": docker.image("demo").id}
    said = command("reproduce", str(file), f"--data={tmp_path}/elsewhere")
    (result,) = Path(tmp_path, "elsewhere", ".reproduce").glob("*/reproduction.json")
    found = json.loads(result.read_text())
    (stage,) = found["stages"]
    assert (stage["verdict"], stage["promised"], stage["of"]) == ("same bytes", "same bytes", 2), said
    assert found["images"] == {"demo": [docker.image("demo").id] * 2}
