"""`make patches`: every rule against the checkout that it is for, as a table."""

from rich.markup import escape
from rich.table import Table

from avatarmake import patches
from avatarmake.errors import Exit, StageError
from avatarmake.patches.rewriting import OK, Outcome
from avatarmake.terminal import print_table


def show(*names: str) -> Exit:
    """Try all patch sets (or these), print what each rule came to; returns the worst as an exit code.

    A rule that does not fit is a fault of this project; a checkout that is not there is for the user to make.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("upstream", "rule", "why", "expected", "found", "state", "drop when"):
        table.add_column(name, justify="right" if name in ("expected", "found") else "left", overflow="fold")
    worst, advice = Exit.OK, []
    for name in names or patches.names():
        try:
            outcomes = patches.attempt(name)
        except StageError as e:
            table.add_row(name, "-", "", "", "", f"[red]{escape(e.what)}[/]", "")
            advice.append(f"{name}: {e}")
            worst = worst if worst == Exit.INTERNAL else e.exit
            continue
        for number, outcome in enumerate(outcomes):
            table.add_row("" if number else name, *_row(outcome))
        if any(outcome.state != OK for outcome in outcomes):
            worst = Exit.INTERNAL
    print_table(table)
    print("\n".join(advice), end="\n" if advice else "")
    return worst


def _row(outcome: Outcome) -> tuple[str, ...]:
    step = outcome.step
    state = f"{outcome.state}: {outcome.detail}" if outcome.detail else outcome.state
    colour = "green" if outcome.state == OK else "red"
    said = f"[{colour}]{escape(state)}[/]"
    return escape(step.id), escape(step.why), str(step.expect), str(outcome.found), said, escape(step.drop_when)
