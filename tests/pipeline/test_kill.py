"""kill -9 in the middle of a stage, then the same command again, elsewhere: the bytes of an undisturbed run.

Elsewhere is another folder, another year and time zone, one worker and one thread instead of one a core.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

from avatarmake.contract.layout import Subject
from avatarmake.contract.pipeline import WRITER
from avatarmake.contract.publication import SUMS, receipt
from tests.pipeline.conftest import ELSEWHERE, ORDER, ROOT, WORKERS, command, run


def copy_up_to(demo: Subject, stage: str, data) -> Subject:
    """The demo's volume with what stages before `stage` wrote."""
    subject = Subject(data, demo.name)
    for directory, writer in WRITER.items():
        if writer in ORDER[: ORDER.index(stage)]:
            shutil.copytree(demo.directory(directory), subject.directory(directory))
    return subject


def kill_when_under_way(stage: str, subject: Subject, files: int) -> bool:
    """Start the stage, kill -9 its whole group once `files` files are in its .partial; False when it was done first."""
    writes = next(d for d, writer in WRITER.items() if writer == stage)
    process = subprocess.Popen(
        command(stage, subject), cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        partial = subject.partial(writes)
        if partial.exists() and sum(p.is_file() for p in partial.rglob("*")) > files:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return not subject.directory(writes).exists()
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("stage", ORDER)
def test_kill_and_rerun(demo, stage, tmp_path):
    writes = next(d for d, writer in WRITER.items() if writer == stage)
    subject = copy_up_to(demo, stage, tmp_path / "data")
    killed = kill_when_under_way(stage, subject, files=1 if stage in ("demo", "train", "view", "report") else 6)
    assert not subject.directory(writes).exists() or not killed
    again = run(stage, subject, *WORKERS.get(stage, []), **ELSEWHERE)
    assert again.returncode == 0, again.stdout + again.stderr
    whole, resumed = demo.directory(writes), subject.directory(writes)
    assert (resumed / SUMS).read_text() == (whole / SUMS).read_text()
    here, there = receipt(whole), receipt(resumed)
    assert there["outputs"] == here["outputs"] and there["key"] == here["key"]
    assert int(there["finished"][:4]) > int(here["finished"][:4])
    if stage == "train":
        assert len(there["facts"]["curve_seconds"]) == len(here["facts"]["curve_seconds"])
