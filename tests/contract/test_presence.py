"""Two hosts on one volume, whose locks do not reach each other, do not work on the same stage at once."""

import json
import os
import subprocess

import pytest

from avatarmake.contract import presence
from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.presence import announced
from avatarmake.errors import Exit, StageError
from avatarmake.files.locking import Busy
from tests.contract.test_contract import COUNT, CountConfig, count


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(presence, "BEAT", 0.02)
    monkeypatch.setattr(presence, "QUIET", 0.2)


class Host:
    """Another host on the same volume."""

    def __init__(self, monkeypatch, root):
        self.patch, self.root = monkeypatch, root

    def leaves(self, shared=False, **about):
        """A note of a run of its own, as it is when the run has been killed."""
        said = presence._about_me() | {"host": "node7", "machine": "another", "shared": shared} | about
        self.root.mkdir(parents=True, exist_ok=True)
        note = self.root / ".frames.run-node7"
        note.write_text(json.dumps(said))
        return note


@pytest.fixture
def subject(tmp_path):
    return Subject(tmp_path / "data", "roman")


@pytest.fixture
def other(monkeypatch, subject):
    return Host(monkeypatch, subject.root)


def beats(monkeypatch):
    """Every look at a note finds it touched."""
    times = iter(range(1000))
    monkeypatch.setattr(presence, "_touched", lambda note: next(times))


def test_another_host_at_work_is_named(subject, other, monkeypatch, capsys):
    note = other.leaves(pid=12)
    beats(monkeypatch)
    with pytest.raises(StageError, match=r"already running.* on node7 \(process 12, since 20") as e:
        execute(COUNT, subject, CountConfig(), lambda job: pytest.fail("ran"))
    assert e.value.exit == Exit.ENVIRONMENT and note.exists()
    assert "finding out whether a run on node7 (process 12" in capsys.readouterr().err
    assert [p for p in subject.root.glob(".frames.run-*")] == [note]


def test_another_host_that_was_killed_is_forgotten(subject, other):
    other.leaves()
    execute(COUNT, subject, CountConfig(), count)
    assert not list(subject.root.glob(".frames.run-*"))


def test_a_beat_is_seen(tmp_path, other, monkeypatch):
    """The real thing: what the one touches, the other watches."""
    with announced(tmp_path, "frames", shared=False, locked=True):
        (note,) = tmp_path.glob(".frames.run-*")
        note.write_text(json.dumps(json.loads(note.read_text()) | {"machine": "another"}))
        monkeypatch.setattr(presence, "QUIET", 20)  # it ends with the first beat
        with pytest.raises(Busy, match="on "), announced(tmp_path, "frames", shared=False, locked=True):
            pass
    assert not list(tmp_path.iterdir())


def test_shards_of_several_hosts_go_together_and_a_whole_run_does_not(subject, other, monkeypatch):
    beats(monkeypatch)
    other.leaves(shared=True)
    with announced(subject.root, "frames", shared=True, locked=True):
        pass
    with pytest.raises(Busy), announced(subject.root, "frames", shared=False, locked=True):
        pass
    other.leaves(shared=False)
    with pytest.raises(Busy), announced(subject.root, "frames", shared=True, locked=True):
        pass


def test_on_one_machine_the_lock_tells_and_nothing_is_waited_for(subject, other, monkeypatch):
    monkeypatch.setattr(presence, "_is_touched", lambda *_: pytest.fail("waited"))
    other.leaves(machine=presence._machine(), processes="a container's")
    execute(COUNT, subject, CountConfig(), count)


def test_without_locks_the_process_table_tells(tmp_path, other, monkeypatch):
    monkeypatch.setattr(presence, "_is_touched", lambda *_: pytest.fail("waited"))
    other.root = tmp_path
    dead = subprocess.Popen(["true"])
    dead.wait()
    for gone in ({"pid": dead.pid}, {"started": "1"}):  # nobody's number, or another's by now
        other.leaves(machine=presence._machine(), **gone)
        with announced(tmp_path, "frames", shared=False, locked=False):
            pass
    other.leaves(machine=presence._machine(), pid=os.getpid())
    with pytest.raises(Busy), announced(tmp_path, "frames", shared=False, locked=False):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_torn_note_ends_in_time(tmp_path, text):
    (tmp_path / ".frames.run-torn").write_text(text)
    with announced(tmp_path, "frames", shared=False, locked=True):
        pass
    assert not list(tmp_path.iterdir())


def test_a_container_says_its_host(tmp_path, monkeypatch):
    monkeypatch.setenv("AVATARMAKE_HOST", "node7")
    assert presence._about_me()["host"] == "node7"


def test_who_is_at_work_at_a_glance(subject, other, monkeypatch):
    monkeypatch.setattr(presence, "QUIET", 20)
    assert presence.at_work(subject.root, "frames") == []
    note = other.leaves(pid=12)
    assert presence.at_work(subject.root, "frames")[0].startswith("on node7 (process 12, since 20")
    os.utime(note, (0, 0))  # nobody has touched it for long
    assert presence.at_work(subject.root, "frames") == [] and note.exists()
    other.leaves(machine=presence._machine(), pid=os.getpid())
    assert len(presence.at_work(subject.root, "frames")) == 1
    other.leaves(machine=presence._machine(), pid=os.getpid(), started="1")
    assert presence.at_work(subject.root, "frames") == []
