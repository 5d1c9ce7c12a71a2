"""A subject of two stages whose files are made up, and what `make reproduce` does with it without running a stage."""

from pathlib import Path

import pytest

from avatarmake import ROOT, __version__
from avatarmake.contract.key import key_of, key_parts
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import publish
from avatarmake.contract.stage import load
from avatarmake.engine import request
from avatarmake.pack import rerun, tree

HERE = {"class": "x86-64-v4 AuthenticAMD 26", "told": {}}


def make(subject: Subject, name: str, words: list[str], files: dict, facts: dict, **environment) -> None:
    """Publish a stage's directory as its run would."""
    stage = load(name)
    asked = request.parse(stage, [subject.name, f"--data={subject.data}", *words])
    parts = key_parts(stage, subject, asked.config)
    out = subject.partial(stage.place(asked.config))
    out.mkdir(parents=True)
    for file, content in files.items():
        (out / file).write_bytes(content)
    stamp = {
        "avatarmake": __version__,
        "stage": name,
        "key": key_of(parts),
        "parts": parts,
        "config": {},
        "facts": facts,
        "seconds": 1.5,
        "environment": {"engine": "local", "options": asked.options(), "processor": HERE, **environment},
        "host": {"cpu": "AMD EPYC", "cores": 2, "python": "3.11.7", "gpu": None},
        "versions": {"numpy": "1.26.4"},
    }
    publish(out, subject.directory(stage.place(asked.config)), stamp)


FRAMES = {"00001.jpg": b"one", "00002.jpg": b"two"}
TRACKING = {"0.npz": b"zero", "1.npz": b"one"}
FACTS = {"frames_in": 2, "jitter_px": 0.2, "ms_per_frame": {"solver": 3.0}}


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "my film.mp4"
    path.write_bytes(b"this is a film")
    return path


@pytest.fixture
def subject(tmp_path, film) -> Subject:
    made = Subject(tmp_path / "data", "roman")
    make(made, "frames", [f"--video={film}", "--margin=0.7"], FRAMES, {"frames_in": 2})
    make(made, "track", ["--landmarks=core"], TRACKING, FACTS)
    return made


@pytest.fixture
def clean(monkeypatch):
    """As in a checkout that nobody works on."""
    monkeypatch.setattr(tree, "modified", lambda: [])


class Stages:
    """In the place of `python -m avatarmake run`: what stages write, and with which words they were called."""

    def __init__(self):
        self.files = {"frames": FRAMES, "track": TRACKING}
        self.facts = {"frames": {"frames_in": 2}, "track": FACTS}
        self.environment, self.calls, self.code = {}, [], 0

    def __call__(self, command: list[str], env: dict) -> int:
        assert command[1:4] == ["-m", "avatarmake", "run"] and env["PYTHONPATH"] == str(ROOT)
        name, subject, data, *words = command[4:]
        self.calls.append((name, words, env["ENGINE"]))
        if not self.code:
            subject = Subject(Path(data.removeprefix("--data=")), subject)
            make(subject, name, words, self.files[name], self.facts[name], **self.environment)
        return self.code


@pytest.fixture
def stages(monkeypatch) -> Stages:
    made = Stages()
    monkeypatch.setattr(rerun, "call", made)
    return made


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """No weights of this host's, and no engine but the one without images."""
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("ENGINE", "local")
