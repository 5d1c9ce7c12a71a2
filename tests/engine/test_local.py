"""Which engine runs a stage, and what the local one does."""

import os
import signal
import subprocess
import sys

import pytest

from avatarmake import engine
from avatarmake.errors import Exit, StageError


def test_engine_names(monkeypatch):
    monkeypatch.setenv("ENGINE", "lxc")
    with pytest.raises(StageError, match="auto, docker, podman, apptainer, local") as raised:
        engine.choose("track")
    assert raised.value.exit == Exit.USAGE


def test_auto_takes_local_and_says_why(monkeypatch):
    monkeypatch.setenv("ENGINE", "auto")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    chosen, why, _ = engine.choose("track")
    assert chosen == "local" and "no daemon runs" in why


def test_docker_asked_for_and_not_there_is_one_line(tmp_path):
    words = [sys.executable, "-m", "avatarmake", "run", "demo", "demo", f"--data={tmp_path}"]
    environment = os.environ | {"ENGINE": "docker", "DOCKER_HOST": "unix:///nowhere.sock"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == Exit.ENVIRONMENT
    assert "ENGINE=local" in done.stderr and "Traceback" not in done.stderr


def test_the_stage_takes_the_runner_s_place(tmp_path):
    """Exit codes, Ctrl-C and kill -9 are the stage's own: there is no process between it and make."""
    script = (
        "import os, signal\n"
        "from avatarmake.contract.stage import load\n"
        "from avatarmake.engine import local, request\n"
        "from avatarmake.environments import venv\n"
        f"venv.python = lambda name, kind: {sys.executable!r}\n"
        f"asked = request.parse(load('demo'), ['demo', '--data={tmp_path}', '--frames=-1'])\n"
        "os.execve = lambda path, words, env: os.kill(os.getpid(), signal.SIGKILL)\n"
        "local.run(asked, {})"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
