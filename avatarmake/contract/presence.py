"""Who works on a stage of a subject now: a note beside its directory, for hosts whose locks do not reach each other.

Two hosts on one network volume may both get the lock of a stage. So whoever works leaves `.<directory>.run-<token>`:
host, process and since when; a thread touches it every BEAT seconds. Who comes later and finds another's note watches
it for QUIET seconds: once it is touched, that one works and is named; a note that stays as it is is of a run that was
killed, and is removed. No clock of one host is held against that of another.

On one machine (its containers included) none of this is waited for: there the lock itself, or the process table, tells.

Limits. A host that sleeps or is cut off for longer than QUIET counts as dead. A volume may show a new note late (NFS:
up to a minute): two that start within that time may not see each other. Two that start in the same moment and do see
each other are both refused.
"""

import contextlib
import json
import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from avatarmake.files.locking import Busy

BEAT, QUIET = 5.0, 30.0  # seconds


@contextlib.contextmanager
def announced(root: Path, name: str, shared: bool, locked: bool) -> Iterator[None]:
    """Leave a note while the block runs. Raises Busy, which says who, where another works and not both share.

    `locked`: this process holds the lock, which no other process of this machine then does.
    """
    note = root / f".{name}.run-{secrets.token_hex(4)}"
    # first the note, then the look: of two at least one sees the other
    note.write_text(json.dumps(_about_me() | {"shared": shared}))
    ended = threading.Event()
    try:
        for other in sorted(root.glob(f".{name}.run-*")):
            if other != note:
                _refuse_alive(other, shared, locked)
        threading.Thread(target=_beat, args=(note, ended), daemon=True).start()
        yield
    finally:
        ended.set()
        note.unlink(missing_ok=True)


def _about_me() -> dict:
    return {
        "host": os.environ.get("AVATARMAKE_HOST") or platform.node(),  # a container's own name says nothing
        "machine": _machine(),
        "pid": os.getpid(),
        "processes": _process_table(),
        "started": _started(os.getpid()),
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _machine() -> str:
    """The same for all containers of a running kernel, and no other's."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return platform.node()


def _process_table() -> str:
    """Which processes a number is one of: containers count their own."""
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where there is none: a number may be another's by now."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _refuse_alive(note: Path, shared: bool, locked: bool) -> None:
    """Raises Busy where who left the note is at work and in the way; removes it where nobody is."""
    try:
        other = _read(note)
        who = _who(other)
        if shared and other.get("shared"):
            return
        if other.get("machine") == _machine() and locked:
            alive = False
        elif (alive := _is_listed(other)) is None:
            alive = _is_touched(note, who)
    except FileNotFoundError:  # it has ended meanwhile
        return
    if alive:
        raise Busy(who)
    note.unlink(missing_ok=True)


def at_work(root: Path, name: str) -> list[str]:
    """Who works on a directory now, by their notes, at a glance: "on node7 (process 12, since ...)".

    For a table, not to decide by: nobody waits to see another host's note touched. It counts for QUIET seconds, by this
    host's clock.
    """
    found = []
    for note in sorted(root.glob(f".{name}.run-*")):
        with contextlib.suppress(FileNotFoundError):
            other = _read(note)
            alive = _is_listed(other)
            if alive or (alive is None and time.time() - _touched(note) / 1e9 < QUIET):
                found.append(_who(other))
    return found


def _who(other: dict) -> str:
    return f"on {other.get('host', 'another host')} (process {other.get('pid')}, since {other.get('since')})"


def _is_listed(other: dict) -> bool | None:
    """Whether this machine's table of processes has who left a note; None where it cannot tell."""
    if other.get("machine") != _machine() or other.get("processes") != _process_table():
        return None
    return _started(other["pid"]) == other["started"]


def _read(note: Path) -> dict:
    """What a note says; nothing where it is not written yet, or never will be."""
    try:
        said = json.loads(note.read_text())
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _is_touched(note: Path, who: str) -> bool:
    """Whether somebody touches the note within QUIET seconds."""
    print(f"{note.parent}: finding out whether a run {who} is still at work", file=sys.stderr, flush=True)
    before, end = _touched(note), time.monotonic() + QUIET
    while time.monotonic() < end:
        time.sleep(BEAT / 5)
        if _touched(note) != before:
            return True
    return False


def _touched(note: Path) -> int:
    with note.open("rb") as f:  # NFS asks the server anew when a file is opened
        return os.fstat(f.fileno()).st_mtime_ns


def _beat(note: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(note)
