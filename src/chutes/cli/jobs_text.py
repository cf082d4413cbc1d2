"""How `chutes jobs` prints jobs, runs and what happens to them."""

import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from chutes.client import JobEvent

__all__ = ["follow_run", "print_files", "print_jobs", "print_run", "print_value"]

# Wide enough that no row of a table is ever folded: each is one line for grep.
_PIPE_WIDTH = 100_000
_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
_LONGEST_NOTE = 60
_FACTS = (
    "id", "job", "status", "progress", "note", "priority", "key", "scheduled_for", "run_at", "created_at", "started_at",
    "finished_at",
)  # fmt: skip
_WHILE_RUNNING = ("progress", "note")


def print_jobs(jobs: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> None:
    """Print the jobs, and below them runs, the newest first."""
    tables = []
    if jobs:
        rows = [[one["name"], one["schedule"] or "", one["next_run"] or "", _tries(one)] for one in jobs]
        tables.append(_table(("Job", "schedule", "next run", "tries"), rows))
    tables.append(_table(("Run", "job", "status", "submitted", "took", "about"), map(_row, runs)))
    _print(tables)
    if not runs:
        typer.echo("There are no such runs.", err=True)


def print_run(run: Mapping[str, Any]) -> None:
    """Print everything about a run."""
    facts = Table.grid(padding=(0, 2))
    passed = () if run["status"] == "running" else _WHILE_RUNNING
    for name in _FACTS:
        if name not in passed and run[name] not in (None, 0):
            facts.add_row(Text(name.replace("_", " "), style="dim"), _value(name, run[name]))
    facts.add_row(Text("attempts", style="dim"), Text(f"{run['attempts']} of {run['max_attempts']}"))
    facts.add_row(Text("arguments", style="dim"), Text(_compact(run["arguments"])))
    if run["status"] == "succeeded":
        facts.add_row(Text("result", style="dim"), Text(_compact(run["result"])))
    if webhook := run.get("webhook"):
        facts.add_row(Text("webhook", style="dim"), Text(_told(webhook)))
    if files := run.get("files"):
        total = sum(file["size"] for file in files)
        facts.add_row(Text("files", style="dim"), Text(f"{len(files)}, {total} bytes"))
    _print([facts])
    for one in run["failed_attempts"]:
        typer.echo(f"\nattempt {one['attempt']}, {one['started_at']} to {one['finished_at']}:")
        typer.echo(one["error"].rstrip("\n"))


def print_files(files: Sequence[Mapping[str, Any]]) -> None:
    """Print the files of a run."""
    rows = [[file["path"], str(file["size"]), file["content_type"], file["sha256"]] for file in files]
    if rows:
        _print([_table(("File", "bytes", "type", "SHA-256"), rows)])
    else:
        typer.echo("The run has left no files.", err=True)


def print_value(value: Any) -> None:
    """Print a value as JSON, on a terminal indented."""
    indent = 2 if sys.stdout.isatty() else None
    separators = None if indent else (",", ":")
    typer.echo(json.dumps(value, indent=indent, separators=separators, ensure_ascii=False))


def follow_run(events: Iterator[JobEvent], run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Show what happens to a run until its end, on standard error; returns the run as it was at last.

    On a terminal there is a bar, with the log lines above it; elsewhere a line for each event.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        return _follow_in_lines(events, run)
    columns = (TextColumn("{task.fields[status]}"), BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("", total=1.0, status=_coloured(run["status"]))
        for event in events:
            if event.kind == "log":
                bar.console.print(Text(_log_line(event)))
                continue
            if event.kind == "state":
                run = event.data
                bar.update(task, status=_coloured(run["status"]))
            share = 1.0 if run["status"] == "succeeded" else event.data.get("progress") or 0.0
            bar.update(task, completed=share, description=_note(event.data))
    return run


def _follow_in_lines(events: Iterator[JobEvent], run: Mapping[str, Any]) -> Mapping[str, Any]:
    for event in events:
        if event.kind == "log":
            line = _log_line(event)
        elif event.kind == "progress":
            line = f"{event.data.get('progress') or 0:.0%} {_note(event.data)}".rstrip()
        else:
            run = event.data
            line = run["status"]
            if run["status"] == "running":
                line += f", attempt {run['attempts']} of {run['max_attempts']}"
        typer.echo(line, err=True)
    return run


def _log_line(event: JobEvent) -> str:
    return f"{event.data['level']}: {event.data['message']}"


def _note(data: Mapping[str, Any]) -> str:
    note = " ".join((data.get("note") or "").split())
    return note if len(note) <= _LONGEST_NOTE else note[: _LONGEST_NOTE - 1] + "…"


def _row(run: Mapping[str, Any]) -> list[str]:
    about = _note(run) if run["status"] == "running" else ""
    if run["status"] == "failed":
        about = (run["error"] or "").strip().rpartition("\n")[2]
    elif run["status"] == "queued" and run["attempts"]:
        about = f"after attempt {run['attempts']} of {run['max_attempts']}"
    return [run["id"], run["job"], run["status"], run["created_at"], _took(run), about]


def _took(run: Mapping[str, Any]) -> str:
    if not run["started_at"] or not run["finished_at"]:
        return ""
    took = datetime.fromisoformat(run["finished_at"]) - datetime.fromisoformat(run["started_at"])
    return f"{took.total_seconds():.1f} s"


def _tries(job: Mapping[str, Any]) -> str:
    limit = f", {job['timeout']:g} s each" if job["timeout"] else ""
    return f"{job['retry_count'] + 1}{limit}"


def _told(webhook: Mapping[str, Any]) -> str:
    attempts = f", {webhook['attempts']} attempts" if webhook["attempts"] > 1 else ""
    when = f" {webhook['delivered_at']}" if webhook["delivered_at"] else ""
    why = f": {webhook['last_error']}" if webhook["last_error"] else ""
    return f"{webhook['url']} {webhook['status']}{when}{attempts}{why}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for row in rows:
        table.add_row(*(_value(name, cell) for name, cell in zip(columns, row, strict=True)))
    return table


def _value(name: str, value: Any) -> Text:
    if name == "progress":
        return Text(f"{value:.0%}")
    return Text(str(value), style=_COLOURS.get(value, "") if name == "status" else "")


def _coloured(status: str) -> str:
    colour = _COLOURS.get(status)
    return f"[{colour}]{status}[/]" if colour else status


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _print(tables: Iterable[Table]) -> None:
    """On a terminal as it is wide; elsewhere with one line for each row."""
    if sys.stdout.isatty():
        console = Console()
        for table in tables:
            console.print(table)
        return
    buffer = io.StringIO()
    console = Console(file=buffer, width=_PIPE_WIDTH)
    for number, table in enumerate(tables):
        if number:
            console.print()
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in buffer.getvalue().splitlines()))
