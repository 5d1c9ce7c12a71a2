import json

import pytest

from avatarmake import head_model
from avatarmake.contract.command import command
from stages.convert import STAGE, __main__
from tests import synthetic


@pytest.fixture(scope="session")
def head():
    return synthetic.small_head()


@pytest.fixture(autouse=True)
def small_model(head, monkeypatch):
    """`open` is the small head; `flame` stays what it is."""
    real = head_model.load
    monkeypatch.setattr(head_model, "load", lambda name: head if name == "open" else real(name))


@pytest.fixture
def subject(tmp_path, head):
    """Six frames, the third without a face."""
    return synthetic.tracked_subject(tmp_path / "data", head, frames=6, gaps=(2,))


@pytest.fixture
def convert(capsys):
    """Run the stage as its command line does: (exit code, what it printed on stderr)."""

    def run(subject, *options):
        code = command(STAGE, __main__.run, [subject.name, "--data", str(subject.data), *options])
        return code, capsys.readouterr().err

    return run


@pytest.fixture
def facts():
    return lambda subject: json.loads((subject.directory("dataset") / "stage.json").read_text())["facts"]
