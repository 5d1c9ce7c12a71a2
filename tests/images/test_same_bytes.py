"""The demo subject through every stage in both engines: the same bytes in every file but the receipts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.publication import RECEIPT, receipt
from avatarmake.engine import docker
from tests.pipeline.conftest import OPTIONS, ORDER

pytestmark = pytest.mark.skipif(docker.trouble() is not None, reason=f"no Docker: {docker.trouble()}")


def made_by(engine: str, data: Path) -> Subject:
    subject = Subject(data, "demo")
    environment = os.environ | {"ENGINE": engine, "PYTHONPATH": str(ROOT)}
    for stage in ORDER:
        words = (subject.name, f"--data={data}", *OPTIONS.get(stage, []))
        command = [sys.executable, "-m", "avatarmake", "run", stage, *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and f"engine {engine}" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
    return subject


def files(directory: Path) -> dict[str, bytes]:
    paths = (path for path in directory.rglob("*") if path.is_file() and path.name != RECEIPT)
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def test_both_engines_write_the_same_bytes_and_keys(tmp_path):
    local, inside = made_by("local", tmp_path / "local"), made_by("docker", tmp_path / "docker")
    for name in (directory for directory, stage in WRITER.items() if stage in ORDER):
        one, other = files(local.directory(name)), files(inside.directory(name))
        assert one and one.keys() == other.keys()
        assert [file for file in one if one[file] != other[file]] == [], name
        stamps = [receipt(subject.directory(name)) for subject in (local, inside)]
        assert stamps[0]["key"] == stamps[1]["key"] and stamps[0]["outputs"] == stamps[1]["outputs"], name
        assert [stamp["environment"]["engine"] for stamp in stamps] == ["local", "docker"]
