"""A subject to import into, and the stand-in for FLAME; in the pictures of these tests there is no face to be seen."""

import json

import pytest

from avatarmake import assets
from avatarmake.contract.command import command
from avatarmake.contract.layout import Subject
from avatarmake.contract.receipts import receipt
from stages.imported import STAGE, __main__, evidence
from tests import flame_model, synthetic


@pytest.fixture(scope="session")
def flame_pickle(tmp_path_factory):
    return flame_model.write(tmp_path_factory.mktemp("flame") / "generic_model.pkl")


@pytest.fixture
def flame(tmp_path, flame_pickle, monkeypatch):
    """A user who has FLAME 2020; of the head model made of it, which takes seconds, a small one is enough here."""
    monkeypatch.setenv("AVATARMAKE_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setattr(__main__, "_head", lambda name: synthetic.small_head())
    place = assets.folder() / assets.manifest()["flame2020"].file
    place.parent.mkdir(parents=True)
    place.symlink_to(flame_pickle)


@pytest.fixture
def subject(tmp_path):
    return Subject(tmp_path / "data", "roman")


@pytest.fixture
def blind(monkeypatch):
    """No face is looked for."""
    monkeypatch.setattr(evidence, "_detected", lambda frames, sample: {})


@pytest.fixture
def bring(subject, blind, capsys):
    """Run the stage as its command line does: (exit code, what it printed)."""

    def run(source, *options):
        words = [subject.name, "--data", str(subject.data), "--source", str(source), *options]
        code = command(STAGE, __main__.run, words)
        out = capsys.readouterr()
        return code, out.out + out.err

    return run


@pytest.fixture
def told(subject):
    """What import.json says."""
    return lambda: json.loads((subject.directory("imported") / "import.json").read_text())


@pytest.fixture
def facts(subject):
    return lambda directory: receipt(subject.directory(directory))["facts"]
