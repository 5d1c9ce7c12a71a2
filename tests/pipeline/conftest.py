"""The whole pipeline once, on a short demo subject; tests of this folder work on copies of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatarmake.contract.layout import Subject

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 30
OPTIONS = {
    "demo": ["--frames", str(FRAMES)],
    "train": ["--iterations", "60", "--resolution", "256", "--gaussians", "2000", "--checkpoint-every", "20"],
}
ORDER = ("demo", "frames", "track", "convert", "mask", "train", "report")


# Another machine and another day, as far as one can be played: nothing of this may be seen in what a stage writes
ELSEWHERE = {
    "PYTHONPATH": str(Path(__file__).with_name("elsewhere")),
    "TZ": "Asia/Kolkata",
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")},
}
WORKERS = {stage: ["--workers", "1"] for stage in ("track", "convert", "mask")}


def command(stage: str, subject: Subject, *options: str) -> list[str]:
    module = [sys.executable, "-m", f"stages.{stage}", subject.name, "--data", str(subject.data)]
    return [*module, *OPTIONS.get(stage, []), *options]


def run(stage: str, subject: Subject, *options: str, **variables: str) -> subprocess.CompletedProcess:
    """Run a stage as the engines do; the caller looks at returncode, stdout and stderr."""
    words, env = command(stage, subject, *options), os.environ | variables
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=env)


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Subject:
    """All seven stages, undisturbed."""
    subject = Subject(tmp_path_factory.mktemp("volume"), "demo")
    for stage in ORDER:
        done = run(stage, subject)
        assert done.returncode == 0, f"{stage}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return subject
