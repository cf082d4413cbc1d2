"""Tables on a terminal, and the same with one line for each row where something else reads."""

import io
import sys
from collections.abc import Iterable, Sequence

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["facts", "print_tables", "table"]

# Wide enough that no row of a table is ever folded: each is one line for grep.
_PIPE_WIDTH = 100_000


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and what they are, without those that are empty."""
    grid = Table.grid(padding=(0, 2))
    for name, text in pairs:
        if text:
            grid.add_row(Text(name, style="dim"), Text(text))
    return grid


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Rows under a heading."""
    made = Table(*columns, box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def print_tables(tables: Sequence[Table]) -> None:
    """Print them one below the other, on a terminal as it is wide."""
    if sys.stdout.isatty():
        console = Console()
        for one in tables:
            console.print(one)
        return
    buffer = io.StringIO()
    console = Console(file=buffer, width=_PIPE_WIDTH)
    for number, one in enumerate(tables):
        if number:
            console.print()
        console.print(one)
    typer.echo("\n".join(line.rstrip() for line in buffer.getvalue().splitlines()))
