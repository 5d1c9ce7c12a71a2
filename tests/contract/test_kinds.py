"""Which PyTorch a result is of, and that a result of one kind is good on a host of another unless TORCH= says so."""

import pytest

from avatarmake.contract import kinds
from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import receipt
from avatarmake.errors import Exit, StageError
from avatarmake.files.digests import digest_path
from tests.contract.test_contract import COUNT, CountConfig, count


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """A checkout whose stage `count` has a lock for the CPU and one for CUDA 13."""
    for name in ("TORCH", kinds.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kinds, "ROOT", tmp_path)
    folder = tmp_path / "docker" / "count"
    folder.mkdir(parents=True)
    for name in ("requirements.lock", "requirements.cuda13.lock"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def ran(tmp_path, capsys):
    """Runs the stage; whether it had something to do."""

    def run() -> bool:
        execute(COUNT, Subject(tmp_path / "data", "roman"), CountConfig(), count)
        return "nothing to do" not in capsys.readouterr().out

    return run


def test_a_kind_is_asked_for_by_name(locks, monkeypatch):
    assert kinds.of("count") == ("cpu", "cuda13") and kinds.asked() is None
    monkeypatch.setenv("TORCH", "cuda13")
    assert kinds.asked() == kinds.current("count") == "cuda13" and kinds.current("other") == "cuda13"
    monkeypatch.setenv("TORCH", "cuda12")
    assert kinds.current("count") == "cpu", "it has no such lock"
    monkeypatch.setenv("TORCH", "rocm")
    with pytest.raises(StageError) as e:
        kinds.asked()
    assert e.value.exit == Exit.USAGE


def test_in_an_image_there_is_one_kind(locks):
    (locks / "requirements.lock").unlink()
    assert kinds.current("count") == "cuda13"


def test_the_key_has_the_lock_that_it_was_made_with(locks, ran, tmp_path, monkeypatch):
    monkeypatch.setenv(kinds.VARIABLE, "cuda13")
    assert ran()
    parts = receipt(tmp_path / "data/roman/frames")["parts"]
    assert parts["environment"] == digest_path(locks / "requirements.cuda13.lock")


@pytest.mark.parametrize(("made", "looked_at"), [("cuda13", "cpu"), ("cpu", "cuda13")])
def test_a_result_of_one_kind_is_good_on_a_host_of_another(locks, ran, monkeypatch, made, looked_at):
    monkeypatch.setenv(kinds.VARIABLE, made)
    assert ran()
    monkeypatch.setenv(kinds.VARIABLE, looked_at)
    assert not ran()
    monkeypatch.setenv("TORCH", looked_at)
    assert ran(), "that kind was asked for"
    assert not ran()


def test_a_lock_that_has_changed_runs_the_stage_again_whatever_the_kind(locks, ran, monkeypatch):
    monkeypatch.setenv(kinds.VARIABLE, "cuda13")
    assert ran()
    (locks / "requirements.cuda13.lock").write_text("newer")
    assert ran() and not ran()
    monkeypatch.setenv(kinds.VARIABLE, "cpu")
    (locks / "requirements.lock").write_text("newer")
    assert not ran(), "it was not made with that one"
