"""The stage contract, on a stage that counts: whole or not at all, resumed, skipped, and why not skipped."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from avatarmake import ROOT
from avatarmake.contract.command import command, failures
from avatarmake.contract.execution import execute
from avatarmake.contract.layout import Subject
from avatarmake.contract.publication import RECEIPT, SUMS, receipt
from avatarmake.contract.stage import Job, Stage, option
from avatarmake.errors import Exit, StageError


@dataclass(frozen=True)
class CountConfig:
    upto: int = option(5, "how far")
    workers: int = option(1, "does not change the result", key=False)
    video: Path | None = option(None, "an input", input=True)
    shard: str | None = option(None, "i/N", key=False)


COUNT = Stage(name="count", summary="counts", reads=(), writes="frames", config=CountConfig)
DOUBLE = Stage(name="double", summary="doubles", reads=("frames",), writes="tracking", config=CountConfig)


def count(job: Job) -> dict:
    made = 0
    for i in range(job.config.upto):
        path = job.out / f"{i}.txt"
        if not path.exists():
            path.write_text(str(i))
            made += 1
    return {"frames_in": job.config.upto, "frames_out": job.config.upto, "made": made}


def double(job: Job) -> dict:
    for p in sorted(job.read("frames").glob("*.txt")):
        (job.out / p.name).write_text(str(2 * int(p.read_text())))
    return {}


@pytest.fixture
def subject(tmp_path):
    return Subject(tmp_path / "data", "roman")


def test_a_stage_leaves_its_directory_and_a_receipt(subject):
    execute(COUNT, subject, CountConfig(), count)
    done = receipt(subject.directory("frames"))
    assert done["facts"]["frames_out"] == 5
    assert done["outputs"]["files"] == 5
    assert done["seconds"] >= 0 and done["peak_memory_mb"] > 1
    assert not subject.partial("frames").exists()
    check = subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=subject.directory("frames"))
    assert check.returncode == 0


def test_a_second_run_does_nothing_and_says_so(subject, capsys):
    execute(COUNT, subject, CountConfig(), count)
    before = (subject.directory("frames") / RECEIPT).read_bytes()
    execute(COUNT, subject, CountConfig(workers=7), lambda job: pytest.fail("ran again"))
    assert "nothing to do" in capsys.readouterr().out
    assert (subject.directory("frames") / RECEIPT).read_bytes() == before


def test_a_changed_option_is_named(subject, capsys):
    execute(COUNT, subject, CountConfig(), count)
    execute(COUNT, subject, CountConfig(upto=6), count)
    assert "changed: upto: 5 -> 6" in capsys.readouterr().out
    assert receipt(subject.directory("frames"))["outputs"]["files"] == 6


def test_an_input_counts_by_content_not_by_name(subject, tmp_path):
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    a.write_bytes(b"same")
    b.write_bytes(b"same")
    execute(COUNT, subject, CountConfig(video=a), count)
    execute(COUNT, subject, CountConfig(video=b), lambda job: pytest.fail("ran again"))
    b.write_bytes(b"other")
    execute(COUNT, subject, CountConfig(video=b), count)
    with pytest.raises(StageError, match="no such file"):
        execute(COUNT, subject, CountConfig(video=tmp_path / "gone.mp4"), count)


def test_same_bytes_upstream_cost_nothing_downstream(subject):
    execute(COUNT, subject, CountConfig(), count)
    execute(DOUBLE, subject, CountConfig(), double)
    execute(COUNT, subject, CountConfig(), count, force=True)  # another receipt, the same content
    execute(DOUBLE, subject, CountConfig(), lambda job: pytest.fail("ran again"))
    execute(COUNT, subject, CountConfig(upto=3), count)
    execute(DOUBLE, subject, CountConfig(), double)
    assert receipt(subject.directory("tracking"))["outputs"]["files"] == 3


def test_what_is_not_there_is_asked_for_by_its_make_target(subject):
    with pytest.raises(StageError, match="make frames ID=roman"):
        execute(DOUBLE, subject, CountConfig(), double)


def test_a_fault_leaves_the_old_directory_and_the_partial_work(subject):
    execute(COUNT, subject, CountConfig(), count)

    def breaks(job):
        (job.out / "0.txt").write_text("0")
        raise StageError("the video is bad", "video.mp4", "Give another")

    with pytest.raises(StageError):
        execute(COUNT, subject, CountConfig(upto=9), breaks)
    assert receipt(subject.directory("frames"))["outputs"]["files"] == 5
    execute(COUNT, subject, CountConfig(upto=9), count)
    assert receipt(subject.directory("frames"))["facts"]["made"] == 8  # 0.txt was resumed


def test_partial_work_of_another_key_is_thrown_away(subject):
    def breaks(job):
        (job.out / "stale.txt").write_text("0")
        raise StageError("x")

    with pytest.raises(StageError):
        execute(COUNT, subject, CountConfig(upto=9), breaks)
    execute(COUNT, subject, CountConfig(upto=2), count)
    assert not (subject.directory("frames") / "stale.txt").exists()


def test_shards_publish_nothing_and_the_last_run_does(subject):
    def shard(job):
        i, n = map(int, job.config.shard.split("/"))
        for k in range(i, job.config.upto, n):
            (job.out / f"{k}.txt").write_text(str(k))

    for s in ("0/2", "1/2"):
        execute(COUNT, subject, CountConfig(shard=s), shard)
        assert not subject.directory("frames").exists()
    execute(COUNT, subject, CountConfig(), count)
    assert receipt(subject.directory("frames"))["facts"]["made"] == 0


def test_two_runs_at_once_are_refused(subject):
    def again(job):
        with pytest.raises(StageError, match="already running"):
            execute(COUNT, subject, CountConfig(), count)
        return count(job)

    execute(COUNT, subject, CountConfig(), again)


SLOW = """
import sys, time
sys.path.insert(0, {root!r})
from avatarmake.contract.command import main
from avatarmake.files.whole import whole
from tests.contract.test_contract import *
def slow(job):
    for i in range(job.config.upto):
        path = job.out / f"{{i}}.txt"
        if not path.exists():
            time.sleep(0.05)
            with whole(path) as p:
                p.write_text(str(i))
            print(i, flush=True)
    return {{}}
main(COUNT, slow)
"""


def test_kill_9_then_again_is_an_undisturbed_run(subject, tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(SLOW.format(root=str(ROOT)))
    command = [sys.executable, str(script), "roman", "--data", str(subject.data), "--upto", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd=ROOT) as first:
        for line in first.stdout:
            if line.strip() == "7":
                break
        os.killpg(first.pid, signal.SIGKILL)
    assert not subject.directory("frames").exists()
    second = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert "\n7\n" not in second.stdout and "\n19\n" in second.stdout  # went on where it was
    done = receipt(subject.directory("frames"))
    assert done["resumed"] and done["outputs"]["files"] == 20
    undisturbed = replace(subject, name="other")
    execute(COUNT, undisturbed, CountConfig(upto=20), count)
    assert receipt(undisturbed.directory("frames"))["outputs"]["digest"] == done["outputs"]["digest"]


def run_command(argv, run=count):
    return command(COUNT, run, argv)


def test_the_command_line_is_the_config(subject):
    assert run_command(["roman", "--data", str(subject.data), "--upto", "3"]) == Exit.OK
    assert json.loads((subject.directory("frames") / RECEIPT).read_text())["config"]["upto"] == 3


def test_exit_codes_tell_a_bad_video_from_try_again(subject, capsys):
    data = ["roman", "--data", str(subject.data)]

    def full(job):
        raise OSError(28, "No space left on device", "x.npz")

    def bad(job):
        raise StageError("has no video stream", "a.mp4", "Give another")

    assert run_command([*data, "--nonsense", "1"]) == Exit.USAGE
    assert run_command(["../etc", "--data", str(subject.data)]) == Exit.USAGE
    assert run_command(data, bad) == Exit.BAD_INPUT
    assert "count: a.mp4: has no video stream. Give another" in capsys.readouterr().err
    assert run_command(data, full) == Exit.ENVIRONMENT
    assert "No space left" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):  # a fault of ours keeps its traceback
        run_command(data, lambda job: 1 / 0)


def test_a_receipt_that_cannot_be_read_is_said(subject):
    execute(COUNT, subject, CountConfig(), count)
    (subject.directory("frames") / RECEIPT).write_text("{")
    with pytest.raises(StageError, match="stage.json"):
        execute(COUNT, subject, CountConfig(), count)


def test_progress_yields_everything_and_is_quiet_when_short(capsys):
    from avatarmake.contract.progress import progress

    assert list(progress(range(5), label="x")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_ctrl_c_in_compiled_code_is_ctrl_c(capsys):
    """It comes out of numba as the SystemError of a SystemError."""

    def pressed():
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as e:
                raise SystemError("returned a result with an exception set") from e
        except SystemError as e:
            raise SystemError("returned a result with an exception set") from e

    with failures("train") as outcome:
        pressed()
    assert outcome.code == 130 and capsys.readouterr().err == "train: stopped; run it again and it goes on\n"
    with pytest.raises(SystemError, match="of our own"), failures("train"):
        raise SystemError("of our own")
