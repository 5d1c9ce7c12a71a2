"""Worker processes, one core each, for a stage whose work falls into runs of images."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

from avatarmake.errors import Exit, StageError
from avatarmake.limits import cores


def how_many(asked: int, runs: int) -> int:
    """As many as asked for, 0 being one per core, and never more than there are runs of work."""
    return min(asked or cores(), runs)


@contextmanager
def worker_pool(count: int, modules: Sequence[str], begin: Callable, *plan) -> Iterator[ProcessPoolExecutor]:
    """`count` processes, each of which has run begin(*plan). Raises StageError where one of them is killed.

    `modules` are imported once: the processes are forked from one that has them, and share its pages. `begin` and the
    work must not be in a __main__, whose functions another process cannot find.
    """
    # BLAS with one thread: the processes share the cores, and the bits do not depend on how many there are
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # read when numpy is imported
    context = get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    with ProcessPoolExecutor(count, context, _begin, (begin, plan)) as pool:
        try:
            yield pool
        except BrokenProcessPool as e:
            what = "a worker process was killed: most likely the host is out of memory"
            raise StageError(what, next="Run it again with --workers 1, and it goes on", exit=Exit.ENVIRONMENT) from e
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin(begin: Callable, plan: tuple) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*plan)


def _end_with_parent() -> None:
    """A killed stage takes its workers with it: nobody else would end them."""
    parent_process().join()  # the stage, not the server that forked this process: a pipe of its own closes
    os._exit(1)
