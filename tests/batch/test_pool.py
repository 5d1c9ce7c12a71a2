"""A queue on this machine, and one stage as its job: what is tried again, what is left of a failure."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from avatarmake import ROOT
from avatarmake.batch import attempt as attempts
from avatarmake.batch import batch as many
from avatarmake.batch import pool
from avatarmake.batch.attempt import attempt, failure
from avatarmake.batch.batch import Batch
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit, StageError
from avatarmake.files.locking import locked

# What stands for `python -m avatarmake run STAGE ID --data=D`: it notes the call, and ends as data/<ID>.<stage> says
RUN = """#!/bin/sh
stage=$4 id=$5 data=${6#--data=}
echo "$id $stage $AVATARMAKE_MEMORY_MB $OMP_NUM_THREADS" >> $data/calls
echo "$stage: about to begin"
code=$(head -n 1 $data/$id.$stage 2>/dev/null)
[ -e $data/$id.$stage ] && sed -i 1d $data/$id.$stage
[ "${code:-0}" = 9 ] && kill -9 $$
[ "${code:-0}" = 15 ] && kill -15 $$
[ "${code:-0}" = 0 ] || echo "$stage: it went wrong" >&2
exit ${code:-0}
"""


@pytest.fixture
def machine(volume, tmp_path, monkeypatch):
    """No stage runs: the pool's own part is looked at."""
    (tmp_path / "python").write_text(RUN)
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(attempts.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(pool, "PAUSE", 0)
    monkeypatch.setattr(many, "_ready", lambda *_: Exit.OK)
    volume.data.mkdir()
    return volume


def ends(volume, name: str, stage: str, *codes: int) -> None:
    """How the tries of a stage end, one after the other."""
    (volume.data / f"{name}.{stage}").write_text("".join(f"{code}\n" for code in codes))


def calls(volume) -> list[tuple[str, ...]]:
    return [tuple(line.split()[:2]) for line in (volume.data / "calls").read_text().splitlines()]


def batch(volume, *names: str, **settings) -> Batch:
    path = volume.data.parent / "some.csv"
    path.write_text("id,video\n" + "".join(f"{name},{volume.video}\n" for name in names))
    return Batch(path, volume.data, ["frames", "track"], "local", {}, **settings)


def test_each_subject_through_its_stages(machine, capsys):
    ends(machine, "b", "frames", 3)
    many.run(batch(machine, "a", "b", at_once=1))
    assert calls(machine) == [("a", "frames"), ("a", "track"), ("b", "frames")]
    said = capsys.readouterr().out
    assert "a: track done in" in said and "b: frames: it went wrong\n" in said
    assert "frames: it went wrong" in (machine.data / "b" / ".batch.log").read_text()
    left = failure(Subject(machine.data, "b"), "frames")
    assert left["exit"] == 3 and left["said"] == "it went wrong" and left["parts"]["video"]


def test_trying_again_where_it_may_help(machine, capsys):
    ends(machine, "full", "frames", 5, 1, 0)
    ends(machine, "killed", "frames", 9, 9, 9, 9)
    code = many.run(batch(machine, "full", "killed", at_once=2))
    assert calls(machine).count(("full", "frames")) == 3 and ("full", "track") in calls(machine)
    assert calls(machine).count(("killed", "frames")) == 3 and ("killed", "track") not in calls(machine)
    assert failure(Subject(machine.data, "full"), "frames") is None  # it went with the next try
    assert "most likely it was out of memory" in failure(Subject(machine.data, "killed"), "frames")["said"]
    assert code == 137 and "killed: frames: killed: most likely" in capsys.readouterr().out


def test_what_is_stopped_leaves_no_failure(machine):
    ends(machine, "a", "frames", 15)
    many.run(batch(machine, "a"))
    assert calls(machine) == [("a", "frames")] and failure(Subject(machine.data, "a"), "frames") is None


def test_a_bad_video_is_not_tried_again(machine, capsys):
    ends(machine, "bad", "frames", 3, 0)
    assert many.run(batch(machine, "bad")) == Exit.BAD_INPUT
    assert many.run(batch(machine, "bad")) == Exit.BAD_INPUT
    assert calls(machine) == [("bad", "frames")] and "nothing to do" in capsys.readouterr().out
    machine.video.write_bytes(b"a better film")
    assert many.run(batch(machine, "bad")) == Exit.OK
    assert calls(machine)[1:] == [("bad", "frames"), ("bad", "track")]


def test_a_second_batch_is_refused_while_one_is_at_work(machine):
    with locked(machine.data / ".batch.lock"), pytest.raises(StageError, match="another `make batch` is at work"):
        many.run(batch(machine, "a"))


def test_jobs_share_the_cores_and_the_memory(volume, monkeypatch):
    volume.finish(volume.line("a"), "frames", peak_mb=2000)
    volume.finish(volume.line("a"), "track", peak_mb=3000)
    monkeypatch.setattr(many, "cores", lambda: 16)
    monkeypatch.setattr(pool, "cores", lambda: 16)
    monkeypatch.setattr(pool.host, "memory_limit", lambda: 17e9)
    assert (batch(volume, "a").work.at_once, batch(volume, "a").work.cores) == (4, 4)
    assert (batch(volume, "a", at_once=8).work.cores, batch(volume, "a", cores=3).work.cores) == (2, 3)
    monkeypatch.setattr(pool.host, "memory_limit", lambda: 1e9)
    assert batch(volume, "a").work.at_once == 1


@pytest.mark.parametrize("settings", [{"at_once": -1}, {"cores": -1}, {"shards": 0}])
def test_settings_that_cannot_be_meant(volume, settings):
    with pytest.raises(StageError, match="1 or more"):
        batch(volume, "a", **settings)
    with pytest.raises(StageError, match="there is no queue 'lsf'. ON is local, slurm, k8s"):
        Batch(volume.data, volume.data, [], "lsf", {})
    with pytest.raises(StageError, match="CLAIM=avatars"):
        Batch(volume.data, volume.data, [], "k8s", {})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"exit": "3", "said": ""}'])
def test_a_torn_failure_is_none(volume, text):
    (volume.data / "a").mkdir(parents=True)
    (volume.data / "a" / ".frames.failed").write_text(text)
    assert failure(Subject(volume.data, "a"), "frames") is None


def test_the_real_thing_says_why(volume):
    """The host's own command, as a job calls it."""
    if not (ROOT / ".venv/host/lock").exists():
        pytest.skip("the host's environment is not made: make doctor makes it")
    code = attempt("frames", "roman", [f"--video={volume.data}/none.mp4"], volume.data, dict(os.environ))
    assert code == Exit.BAD_INPUT
    left = json.loads((volume.data / "roman" / ".frames.failed").read_text())
    assert left["said"].endswith("none.mp4: there is no such file. Give an existing one: VIDEO=...")


KILLED = """
import sys
from pathlib import Path
from avatarmake.batch import attempt as attempts, batch as many
attempts.sys.executable = sys.argv[1]
many._ready = lambda *_: 0
many.run(many.Batch(Path(sys.argv[2]), Path(sys.argv[3]), ["frames", "track"], "local", {}, at_once=1))
"""


def test_the_page_is_right_after_a_kill(volume, tmp_path):
    """kill -9 of the batch while a stage is at work: what it says then is what is there."""
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\ntouch ${6#--data=}/begun\nexec sleep 60\n")
    slow.chmod(0o755)
    volume.finish(volume.line("done"), "frames", "track")
    asked = batch(volume, "done", "next")
    words = [sys.executable, "-c", KILLED, str(slow), str(asked.list), str(volume.data)]
    process = subprocess.Popen(words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    while not (volume.data / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    many.show(asked)
    page = " ".join((volume.data / "some.html").read_text().split())
    assert "<b>1</b> done" in page and "<b>1</b> to do" in page
    with locked(volume.data / ".batch.lock", wait=False):  # and nothing holds the next one up
        pass
