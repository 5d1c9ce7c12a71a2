"""Locks hold where there are any; where there are none, work goes on and that is said once."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys

import pytest

from avatarmake import ROOT
from avatarmake.files import locking
from avatarmake.files.locking import Busy, locked


@pytest.fixture
def no_locks(monkeypatch):
    """A file system without: returns what sets the error."""

    def lacks(code: int) -> None:
        def refuses(handle, how):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", refuses)
        monkeypatch.setenv(locking.SAID, "")

    return lacks


def test_one_at_a_time_and_those_who_share_beside_each_other(tmp_path):
    lock = tmp_path / ".lock"
    with locked(lock) as held:
        assert held
        for shared in (False, True):
            with pytest.raises(Busy), locked(lock, shared, wait=False):
                pass
    with locked(lock, shared=True), locked(lock, shared=True, wait=False):
        with pytest.raises(Busy), locked(lock, wait=False):
            pass
    with locked(lock, wait=False):
        pass


def test_the_lock_of_a_folder_leaves_no_file(tmp_path):
    with locked(tmp_path), pytest.raises(Busy), locked(tmp_path, wait=False):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
def test_a_file_system_without_locks_is_said_once(tmp_path, no_locks, code, capsys):
    no_locks(code)
    for name in ("a", "b"):
        with locked(tmp_path / name) as held:
            assert not held
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and str(tmp_path) in said and os.strerror(code) in said and "going on without" in said


def test_other_errors_are_errors(tmp_path, no_locks):
    no_locks(errno.EIO)
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / "a"):
        pass


COUNT = """
from avatarmake.contract.command import main
from tests.contract.test_contract import COUNT, count
main(COUNT, count)
"""


def test_a_stage_without_flock_in_the_c_library(tmp_path):
    """What nfs without lockd, and some FUSE volumes, are like."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("needs a C compiler")
    source, library = tmp_path / "noflock.c", tmp_path / "noflock.so"
    source.write_text("#include <errno.h>\nint flock(int fd, int op) { errno = ENOLCK; return -1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    words = [sys.executable, "-c", COUNT, "roman", "--data", str(tmp_path / "data")]
    without = os.environ | {"LD_PRELOAD": str(library)}
    done = subprocess.run(words, cwd=ROOT, env=without, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1 and "has no locks" in done.stderr
    assert (tmp_path / "data" / "roman" / "frames" / "stage.json").exists()
