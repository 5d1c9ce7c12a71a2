"""A reproduction in a terminal."""

from rich.table import Table
from rich.text import Text

from avatarmake.pack.comparison import Outcome, Verdict
from avatarmake.pack.figures import Figure
from avatarmake.terminal import duration, print_table

STYLES = {Verdict.BYTES: "green", Verdict.FIGURES: "green", Verdict.DIFFERS: "red", Verdict.FAILED: "red"}
NAMED = 3  # of what is off or was different


def show(outcomes: list[Outcome], images: dict[str, tuple[str, str]]) -> None:
    """A line a stage: what came out, what was promised, what differs and by how much, what was different around it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("stage", "came out", "promised", "files", "time", "what"):
        table.add_column(name, overflow="fold" if name == "what" else "ellipsis")
    for each in outcomes:
        style = STYLES.get(each.verdict, "yellow") if each.kept or each.verdict in STYLES else "red"
        table.add_row(
            Text(each.directory if "/" in each.directory else each.stage),
            Text(each.verdict, "red" if not each.kept else style),
            Text(each.promised if each.of else ""),
            f"{each.of - len(each.files)} of {each.of}" if each.of else "",
            duration(each.seconds[1]) if each.of else "",
            Text(what(each)),
        )
    print_table(table)
    for stage, (then, now) in images.items():
        if then and then != now:
            print(f"{stage}: its image is {now[7:19]} here, and was {then[7:19]}")


def what(each: Outcome) -> str:
    """What a line says of an outcome: by how much it is off, and what around it was different."""
    if each.why or not each.files:
        return each.why
    deciding = [d for d in each.differences if d.decides] or each.differences
    around = [f"{d.name} {d.then} -> {d.now}" for d in deciding]
    return f"{off(each)} (different around it: {_some(around) or 'nothing'})"


def off(each: Outcome) -> str:
    """The figures that are farthest off; where all hold, the one that is nearest to its limit."""
    if each.why or not each.files:
        return each.why
    if each.off:
        return _some([figure(f) for f in each.off])
    nearest = each.nearest_to_its_limit
    return f"at most {figure(nearest)}" if nearest else "no figure differs"


def _some(said: list[str]) -> str:
    return "; ".join(said[:NAMED]) + (f" and {len(said) - NAMED} more" if len(said) > NAMED else "")


def figure(f: Figure) -> str:
    """landmark_error_px.median 1.284 -> 1.285 (0.1 allowed)"""
    return f"{f.name} {number(f.then)} -> {number(f.now)} ({f.allowed:.3g} allowed)"


def number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
