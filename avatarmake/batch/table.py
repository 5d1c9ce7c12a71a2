"""All subjects of a list in a terminal: how many are where, and those that are not done, one by one."""

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from avatarmake.batch.figures import figures
from avatarmake.batch.standing import Row, State, count, in_order
from avatarmake.terminal import print_table

SHOWN = 40  # subjects
COLOURS = {State.DONE: "green", State.RUNNING: "cyan", State.FAILED: "red", State.BROKEN: "yellow"}


def show(rows: Sequence[Row], page: Path) -> None:
    """Print the table, how many subjects are in each state, and where the page with all of them is."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("subject", "stage", "state", "frames", "landmarks", "unseen blocks, last", "time")
    for name in columns:
        table.add_column(name, overflow="fold" if name == "state" else "ellipsis")
    for row in in_order(rows)[:SHOWN]:
        table.add_row(*_cells(row))
    print_table(table)
    if len(rows) > SHOWN:
        print(f"... and {len(rows) - SHOWN} more")
    said = ", ".join(f"{n} {state}" for state, n in count(rows).items())
    print(f"{len(rows)} subjects: {said}\npage: {page.absolute()}")


def _cells(row: Row) -> tuple[str, ...]:
    first, told = row.first, figures(row)
    state = f"[{COLOURS[row.state]}]{row.state}[/]" if row.state in COLOURS else str(row.state)
    why = f": {escape(first.why)}" if first and first.why else ""
    target = first.target if first else ""
    return (row.line.id, target, state + why, told.frames, told.landmarks, told.psnr, told.time)
