"""Progress of long work: a rich bar on a terminal, a line every ten seconds elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator


def progress(items: Iterable, total: int | None = None, label: str = "", unit: str = "frames") -> Iterator:
    """Yield the items while showing how far they are. `total` defaults to len(items) where it has one."""
    if total is None and hasattr(items, "__len__"):
        total = len(items)
    if sys.stderr.isatty():
        yield from _bar(items, total, label, unit)
    else:
        yield from _lines(items, total, label, unit)


def _bar(items: Iterable, total: int | None, label: str, unit: str) -> Iterator:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        yield from bar.track(items, total=total, description=label)


def _lines(items: Iterable, total: int | None, label: str, unit: str) -> Iterator:
    started = said = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= 10:
            said = now
            of = f" of {total}" if total else ""
            print(f"{label}: {count}{of} {unit}, {count / (now - started):.1f} a second", file=sys.stderr, flush=True)
