"""How far a transfer is: a rich bar on a terminal, a line every ten seconds elsewhere."""

import sys
import time

from avatarmake import host


class Meter:
    """`with Meter("deca") as meter:` start(done, total) at each try, advance(count), say(what happened)."""

    def __init__(self, label: str):
        self.label, self.bar, self.task = label, None, None
        self.done, self.total, self.said = 0, None, time.monotonic()

    def __enter__(self) -> "Meter":
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn())
            rest = (progress.TransferSpeedColumn(), progress.TimeRemainingColumn())
            self.bar = progress.Progress(*columns, *rest, console=Console(stderr=True))
            self.bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self.bar:
            self.bar.stop()

    def start(self, done: int, total: int | None) -> None:
        """A try begins: `done` bytes are there, of `total` (None where the server does not say)."""
        self.done, self.total = done, total
        if self.bar:
            if self.task is not None:
                self.bar.remove_task(self.task)
            self.task = self.bar.add_task(self.label, completed=done, total=total)
        elif done:
            self.say(f"goes on from {host.size(done)}")

    def advance(self, count: int) -> None:
        self.done += count
        if self.bar:
            self.bar.advance(self.task, count)
        elif time.monotonic() - self.said >= 10:
            self.say(f"{host.size(self.done)}{f' of {host.size(self.total)}' if self.total else ''}")

    def say(self, text: str) -> None:
        """One line of its own, above the bar where there is one."""
        self.said = time.monotonic()
        line = f"{self.label}: {text}"
        if self.bar:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
