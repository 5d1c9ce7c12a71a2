"""Locks between processes, on a file or a folder. Nothing else here calls flock.

A lock ends with its process, whatever ends that. Where the file system has none (some network and FUSE volumes), work
goes on without one, and that is said once. Whether a lock holds between HOSTS is the volume's business: NFS passes it
on unless it is mounted with `nolock` or `local_lock`, others keep it to each host, and nobody can tell from here. What
must not meet its like on another host is told by contract/presence.py.
"""

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# EBADF: NFS wants a file that is open for writing, which a folder never is
ABSENT = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
SAID = "AVATARMAKE_WITHOUT_LOCKS"  # devices of which it was said, in the environment: to workers and to what runs next


class Busy(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(place: Path, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a folder that is there, or of a file, which is made; yields False where there are no locks.

    `shared`: beside others who share it. Raises Busy where it is held and `wait` is False.
    """
    # a folder's lock leaves no file behind
    handle = os.open(place, os.O_RDONLY if place.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    try:
        yield _flock(handle, place, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    finally:
        os.close(handle)


def _flock(handle: int, place: Path, how: int) -> bool:
    try:
        fcntl.flock(handle, how)
        return True
    except BlockingIOError as e:
        raise Busy(place) from e
    except OSError as e:
        if e.errno not in ABSENT:
            raise
        device, said = str(os.fstat(handle).st_dev), os.environ.get(SAID, "").split()
        if device not in said:
            os.environ[SAID] = " ".join([*said, device])
            what = f"{place.parent}: its file system has no locks ({e.strerror})"
            print(f"{what}; going on without: do not start the same work twice at once", file=sys.stderr, flush=True)
        return False
