"""How `chutes models` prints models, and how a download goes on."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from chutes.models.cached import CachedModel
from chutes.models.model import Model
from chutes.models.progress import LogProgress, size_text

__all__ = ["Download", "print_model", "print_models"]

# Wide enough that no row of a table is ever folded: each is one line for grep.
_PIPE_WIDTH = 100_000
_COLUMNS = ("Model", "form", "size", "revision", "last used", "where")
_SHORT = 12
_BILLION = 1e9
_MILLION = 1e6


class Download:
    """A bar on standard error; where that is no terminal, a line every few seconds."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._lines = LogProgress(say=lambda line: typer.echo(line, err=True))
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, TimeRemainingColumn(), console=console)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def start(self, name: str, total_bytes: int) -> None:
        """Show what is fetched."""
        if self._bar is None:
            self._lines.start(name, total_bytes)
            return
        self._bar.add_task(name, total=total_bytes)
        self._bar.start()

    def advance(self, size_bytes: int) -> None:
        """Show how far it is."""
        if self._bar is None:
            self._lines.advance(size_bytes)
        else:
            self._bar.advance(self._bar.task_ids[0], size_bytes)

    def finish(self) -> None:
        """Show that it has come."""
        if self._bar is None:
            self._lines.finish()


def print_models(models: Sequence[CachedModel], *, as_json: bool) -> None:
    """Print the models of the cache, one a line."""
    if as_json:
        _print_json([asdict(model) for model in models])
        return
    if not models:
        typer.echo("The cache has no models. Fetch one with: chutes models pull owner/name", err=True)
        return
    table = Table(*_COLUMNS, box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for model in models:
        table.add_row(*map(Text, _row(model)))
    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(table)


def print_model(model: Model, *, as_json: bool) -> None:
    """Print one model: what it is, and where."""
    if as_json:
        _print_json(asdict(model))
        return
    facts = [model.form, size_text(model.size_bytes), model.architecture, _parameters(model.parameters)]
    typer.echo(f"{model.name}: {', '.join(fact for fact in facts if fact)}")
    if model.revision:
        typer.echo(f"revision {model.revision}")
    typer.echo(str(model.path))


def _row(model: CachedModel) -> Iterable[str]:
    branches = f" ({', '.join(model.branches)})" if model.branches else ""
    used = datetime.fromtimestamp(model.used_at, UTC).astimezone().strftime("%Y-%m-%d")
    yield model.name
    yield ", ".join(model.forms) or "other files"
    yield size_text(model.size_bytes)
    yield f"{model.revision[:_SHORT]}{branches}"
    yield used
    yield str(model.path)


def _parameters(count: int | None) -> str:
    if not count:
        return ""
    if count >= _BILLION:
        return f"{count / _BILLION:.1f}B parameters"
    return f"{count / _MILLION:.0f}M parameters" if count >= _MILLION else f"{count} parameters"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str, ensure_ascii=False))
