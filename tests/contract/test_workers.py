"""Worker processes: how many, and that none of them outlives the stage or takes it down without a word."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from avatarmake import ROOT
from avatarmake.contract.workers import how_many, worker_pool
from avatarmake.errors import Exit, StageError
from avatarmake.limits import cores

# It prints its workers' numbers and waits to be killed.
PARENT = """
import os, time
from avatarmake.contract.workers import worker_pool
with worker_pool(2, (), time.sleep, 0) as pool:
    pool.submit(time.sleep, 60)
    print(*{pool.submit(os.getpid).result() for _ in range(9)}, flush=True)
    time.sleep(60)
"""


def test_how_many():
    assert how_many(3, 10) == 3
    assert how_many(3, 2) == 2
    assert how_many(0, 1000) == cores()


def test_a_worker_has_begun_before_it_works():
    mine = os.umask(0o022)
    os.umask(mine)
    with worker_pool(1, (), os.umask, 0o027) as pool:
        assert pool.submit(os.umask, 0o022).result() == 0o027
    assert os.umask(mine) == mine


def test_a_killed_worker_is_no_traceback():
    with pytest.raises(StageError, match="a worker process was killed.*--workers 1") as e:
        with worker_pool(1, (), time.sleep, 0) as pool:
            pool.submit(os.kill, pool.submit(os.getpid).result(), signal.SIGKILL).result()
    assert e.value.exit == Exit.ENVIRONMENT


def test_an_error_in_the_work_is_passed_on():
    with pytest.raises(ZeroDivisionError), worker_pool(2, (), time.sleep, 0) as pool:
        list(pool.map(divmod, [1, 1], [1, 0]))


def test_workers_end_with_a_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        workers = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
        assert workers and all(map(is_alive, workers))
        parent.kill()
    until = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_alive, workers))


def is_alive(process: psutil.Process) -> bool:
    """Not what is dead and waits for somebody to ask."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
