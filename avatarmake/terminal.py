"""What a person reads in a terminal."""

from rich.console import Console
from rich.table import Table


def duration(seconds: float) -> str:
    """4.2 s; 3 min 07 s; 2 h 15 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def print_table(table: Table) -> None:
    """As wide as the terminal; in a file or a pipe as wide as it takes."""
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)
