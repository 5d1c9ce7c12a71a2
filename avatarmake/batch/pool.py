"""A queue on this machine: a few subjects at once, each brought through its stages one after the other.

Shards are for several machines: here a stage takes the cores that its job has by itself. The queue ends with this
process. If that is killed, stages that were at work go on to their end, and the next `make batch` finds them so.
"""

import os
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from avatarmake import host
from avatarmake.batch import needs
from avatarmake.batch.attempt import AGAIN, MEMORY, STOPPED, TRIES, attempt, failure
from avatarmake.batch.chains import Chain, Work
from avatarmake.batch.standing import Row
from avatarmake.contract.layout import Subject
from avatarmake.errors import Exit
from avatarmake.limits import cores
from avatarmake.terminal import duration

PAUSE = 10.0  # seconds before the next try


def at_once(wanted: Iterable[int]) -> int:
    """How many jobs fit: one a core, and their memory (MB each, by stage) into what this process may use."""
    largest = max(wanted, default=needs.FIRST_MB)
    return max(min(cores(), int(host.memory_limit() / 1e6 / largest)), 1)


def run(chains: Sequence[Chain], work: Work) -> None:
    """Bring all subjects through their stages, and say how each ended. Ctrl-C ends it after what is at work."""
    ending = threading.Event()
    with ThreadPoolExecutor(work.at_once) as pool:
        jobs = [pool.submit(_through, row, chain.targets, work, ending) for chain in chains for row in chain.rows]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            ending.set()
            pool.shutdown(cancel_futures=True)
            raise


def _through(row: Row, targets: Sequence[str], work: Work, ending: threading.Event) -> None:
    for target in targets:
        if ending.is_set() or _tried(row, target, work, ending) != Exit.OK:
            return


def _tried(row: Row, target: str, work: Work, ending: threading.Event) -> int:
    """One stage, up to TRIES times where trying again may help. Returns the exit code of the last."""
    stage, name = work.stage(target, row), row.line.id
    _, *words = work.words(target, row)
    need = needs.of(stage, needs.receipts(work.data, stage.writes), [row], words)
    variables = os.environ | work.threads | {MEMORY: str(need.memory_mb)}
    for last in [False] * (TRIES - 1) + [True]:
        started = time.monotonic()
        code = attempt(target, name, words, work.data, variables)
        if code == Exit.OK:
            print(f"{name}: {target} done in {duration(time.monotonic() - started)}", flush=True)
            return code
        left = failure(Subject(work.data, name), stage.writes) or {}
        said = "stopped" if code in STOPPED else left.get("said", f"exit code {code}")
        again = code in AGAIN and not last and not ending.is_set()
        print(f"{name}: {target}: {said}{'; trying again' if again else ''}", flush=True)
        if not again or ending.wait(PAUSE):
            break
    return code
