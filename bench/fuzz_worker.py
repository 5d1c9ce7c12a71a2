"""A forked process that reads one damaged file after another, with as much time and memory as it may take."""

import ctypes
import faulthandler
import gc
import os
import resource
import select
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from avatarmake.errors import StageError

SECONDS = 10.0  # for one file
MEMORY = 1 << 30  # bytes of address space beyond the parent's
ARENA_MAX = -8  # glibc's number of that setting
BATCH = 100  # files that one process reads: a fork takes longer than most of them


class Worker:
    """Calls `read` with `place`, again and again. What a file does to the process, it does not do to the parent."""

    def __init__(self, read: Callable[[Path], object], place: Path):
        self._read, self._place = read, place
        self._process, self._left = 0, 0

    def judge(self) -> tuple[str, str, int]:
        """What becomes of the file that is there now: outcome, what went wrong, the most bytes it took so far."""
        if self._left == 0:
            self.close()
            self._fork()
        self._left -= 1
        os.write(self._go, b".")
        said = os.read(self._said, 4096) if select.select([self._said], [], [], SECONDS)[0] else None
        if said:
            outcome, peak, what = said.decode(errors="replace").split(" ", 2)
            return outcome, what, int(peak)
        if said is None:
            os.kill(self._process, signal.SIGKILL)
        status = self.close()
        if said is None:
            return "hang", f"more than {SECONDS:.0f} s", 0
        return "crash", signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "it ended", 0

    def close(self) -> int:
        """End the process -> its status."""
        if not self._process:
            return 0
        os.close(self._go)
        os.close(self._said)
        _, status = os.waitpid(self._process, 0)
        self._process = self._left = 0
        return status

    def _fork(self) -> None:
        hears, self._go = os.pipe()
        self._said, says = os.pipe()
        room = _taken()[0] + MEMORY
        self._process, self._left = os.fork(), BATCH
        if self._process == 0:
            os.close(self._go)
            os.close(self._said)
            ctypes.CDLL(None).mallopt(ARENA_MAX, 1)  # each thread of a decoder would reserve 128 MB, and not use it
            gc.freeze()
            resource.setrlimit(resource.RLIMIT_AS, (room, room))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            self._serve(hears, says)
        os.close(hears)
        os.close(says)

    def _serve(self, hears: int, says: int) -> NoReturn:
        """In the forked process, which ends here."""
        try:
            faulthandler.disable()  # a crash is told by the parent
            null = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(null, stream)
            began = _taken()[1]
            while os.read(hears, 1):
                outcome, what = _outcome(self._read, self._place)
                gc.collect()  # decoders hold threads, and one that hangs in a circle would be the next file's fault
                peak = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - began, 0)
                os.write(says, f"{outcome} {peak} {what}".encode(errors="replace")[:2000])
        finally:
            os._exit(0)


def _outcome(read: Callable[[Path], object], place: Path) -> tuple[str, str]:
    try:
        read(place)
    except StageError as e:
        return "refused", str(e)
    except BaseException as e:
        frames = [f for f in traceback.extract_tb(e.__traceback__) if "bench" not in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
        return "traceback", f"{type(e).__name__} at {where}: {str(e)[:100]}"
    return "ok", ""


def _taken() -> list[int]:
    """Bytes of address space, and of memory, that this process has."""
    return [int(n) * resource.getpagesize() for n in Path("/proc/self/statm").read_text().split()[:2]]
