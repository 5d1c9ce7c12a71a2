"""The whole pipeline once, on a short demo subject; tests of this folder work on copies of it."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avatarmake.contract import command as contract
from avatarmake.contract.layout import Subject
from avatarmake.contract.stage import load
from avatarmake.errors import Exit

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 30
OPTIONS = {
    "demo": ["--frames", str(FRAMES)],
    "refine": ["--iterations", "60", "--gaussians", "2000"],
    "train": ["--iterations", "60", "--resolution", "256", "--gaussians", "2000", "--checkpoint-every", "20"],
}
ORDER = ("demo", "frames", "track", "convert", "mask", "refine", "train", "view", "report")


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


def run_here(stage: str, subject: Subject, *options: str) -> Exit:
    """The same in this process, which has PyTorch and numba's code: starting another takes longer than most stages."""
    main = importlib.import_module(f"stages.{stage}.__main__")
    return contract.command(load(stage), main.run, command(stage, subject, *options)[3:])


@pytest.fixture(scope="session")
def demo(common) -> Subject:
    """All stages, undisturbed; tests leave it as it is."""

    def make(volume: Path) -> None:
        for stage in ORDER:
            assert run_here(stage, Subject(volume, "demo")) == Exit.OK, stage

    return Subject(common("demo-volume", make), "demo")
