"""What a file system refuses, in words: the path, why, and what to do."""

import errno
import os
import pwd
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
RIGHTS = (errno.EACCES, errno.EPERM)
WORDS = {
    errno.EROFS: ("is on a file system that is mounted read-only", "Make it writable, or take another DATA="),
    errno.EMFILE: ("too many open files", "Raise the limit: ulimit -n 4096"),
    errno.ENAMETOOLONG: ("its name is too long for its file system", "Give it a shorter one"),
    errno.ENOTDIR: ("a file is where a folder is needed", "Move it elsewhere, or give another DATA= or ID="),
    errno.EEXIST: ("a file is where a folder is needed", "Move it elsewhere, or give another DATA= or ID="),
    errno.EBUSY: ("is in use, or a disk is mounted there", "Mount the disk further up: DATA=folder"),
    errno.EXDEV: ("is on another file system than what is beside it", "Mount the disk further up: DATA=folder"),
    errno.ESTALE: ("the network volume has lost it", "Mount it again, then run it again"),
    errno.EIO: ("the disk or the network volume fails", "Look after it, then run it again"),
}
KNOWN = {*FULL, *RIGHTS, *WORDS}


def explained(error: OSError) -> str:
    """What is wrong with the path that `error` is about, and what to do, in one line without the path."""
    if error.errno in FULL:
        return f"{error.strerror}. Nothing is lost: free some, then run it again and it goes on"
    if error.errno in RIGHTS:
        return _of_rights(error)
    what, next = WORDS.get(error.errno, (error.strerror or str(error), ""))
    return f"{what}. {next}" if next else what


def _of_rights(error: OSError) -> str:
    """Whose it is: data that root's container wrote yesterday, and now a user's run is to go on with."""
    me = _name(os.geteuid())
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return f"{error.strerror} for {me}"
    path = Path(os.fsdecode(error.filename))
    for place in (path, *path.absolute().parents):
        try:
            owner = place.lstat().st_uid
        except OSError:  # not there, or behind the folder that refuses
            continue
        if owner == os.geteuid():
            return f"{error.strerror} for {me}, whose {place} is. Set its rights: chmod -R u+rwX {place}"
        folder = place if place.is_dir() else place.parent  # a whole one: its other files will be alike
        what = f"{error.strerror}: {place} is {_name(owner)}'s, and this runs as {me}"
        return f"{what}. Run as {_name(owner)}, or let root type: chown -R {os.geteuid()}:{os.getegid()} {folder}"
    return f"{error.strerror} for {me}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container
        return f"user {uid}"
