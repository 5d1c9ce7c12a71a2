"""What a person reads in a terminal."""

from rich.console import Console
from rich.table import Table


def print_table(table: Table) -> None:
    """As wide as the terminal; in a file or a pipe as wide as it takes."""
    console = Console()
    Console(width=None if console.is_terminal else 160).print(table)
