"""`chutes jobs`: submit, look at, follow and cancel runs of jobs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from chutes.cli.call_items import UsageError, arguments_of, body_of
from chutes.cli.jobs_source import JobsSource, RunSource, jobs_source
from chutes.cli.jobs_text import follow_run, print_files, print_jobs, print_run, print_value
from chutes.cli.remote import DEFAULT_URL, Key
from chutes.cli.reporting import refuse, report
from chutes.client import JobEvent
from chutes.errors import ConnectionFailed
from chutes.jobs.run import Status

__all__ = ["jobs"]

_FAILED = 1
_BAD_USAGE = 2
_SECONDS_A_DAY = 86_400.0

_Url = Annotated[str | None, typer.Option(help="Where the chute is.", show_default=DEFAULT_URL)]
_App = Annotated[
    str | None,
    typer.Option(
        metavar="CHUTE",
        help="The file or module of the chute: use its database, whether it is served or not.",
        show_default=False,
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RunId = Annotated[str, typer.Argument(metavar="RUN", help="The id of the run.", show_default=False)]
_OneJob = Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only this job.", show_default=False)]
_Items = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help="name=text, name:=json, name=@file for the text in a file, name:=@file for its JSON.",
        show_default=False,
    ),
]

jobs = typer.Typer(
    help="Submit, look at, follow and cancel runs of jobs.", no_args_is_help=True, add_completion=False
)


@jobs.callback()
def _jobs() -> None:
    """Submit, look at, follow and cancel runs of jobs.

    At a running chute (--url), or in the database of one that need not run (--app). Exit status: 0 when all went well, 1 when
    the chute refused or the run failed, 2 for bad usage or no connection.
    """


@jobs.command("list")
def list_runs(
    job: _OneJob = None,
    *,
    status: Annotated[
        Status | None, typer.Option(help="Only runs that stand so.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(help="Runs, at most.", min=1, max=1000)] = 20,
    url: _Url = None,
    key: Key = None,
    app: _App = None,
    json_output: _Json = False,
) -> None:
    """Show the jobs, and their runs, the newest first."""
    with _source(url, key, app) as source:
        described = source.describe()
        names = [one["name"] for one in described] if job is None else [job]
        wanted = None if status is None else status.value
        runs = [run for name in names for run in source.runs(name, status=wanted, limit=limit)]
        newest = sorted(runs, key=lambda run: str(run["id"]), reverse=True)[:limit]
        shown = [one for one in described if one["name"] in names]
        if json_output:
            print_value({"jobs": shown, "runs": newest})
        else:
            print_jobs(shown, newest)


@jobs.command("submit")
def submit(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The name of the job.", show_default=False)],
    arguments: _Items = None,
    *,
    json_body: Annotated[
        str | None,
        typer.Option(
            "--json", help="All arguments: a JSON object, @file, or - for standard input.", show_default=False
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Submit it once, however often this is typed.", show_default=False)
    ] = None,
    delay: Annotated[float, typer.Option(help="Seconds before it may begin.", min=0.0)] = 0.0,
    priority: Annotated[int, typer.Option(help="Higher ones go first.")] = 0,
    webhook: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Tell this address of its end.", show_default=False),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it, as `chutes jobs watch` does.")] = False,
    url: _Url = None,
    key: Key = None,
    app: _App = None,
) -> None:
    """Submit a run, and print its id."""
    with _source(url, key, app) as source:
        given = _arguments(arguments or [], json_body)
        run = source.submit_mapping(
            job, given, key=idempotency_key, delay=delay, priority=priority, webhook=webhook
        )
        if watch:
            raise typer.Exit(_watch(run, json_output=False))
        typer.echo(run.id)


@jobs.command("show")
def show(
    run_id: _RunId, *, url: _Url = None, key: Key = None, app: _App = None, json_output: _Json = False
) -> None:
    """Show everything about a run."""
    with _source(url, key, app) as source:
        info = source.run(run_id).info()
        if json_output:
            print_value(info)
        else:
            print_run(info)


@jobs.command("cancel")
def cancel(run_id: _RunId, *, url: _Url = None, key: Key = None, app: _App = None) -> None:
    """End a run: at once while it waits, else as soon as its function lets itself be stopped."""
    with _source(url, key, app) as source:
        run = source.run(run_id)
        cancelled, status = run.cancel(), run.info()["status"]
        if not cancelled:
            typer.echo(f"Run {run.id} has ended already: it is {status}.", err=True)
            raise typer.Exit(_FAILED)
        typer.echo("cancelled" if status == Status.CANCELLED else "asked to end")


@jobs.command("retry")
def retry(run_id: _RunId, *, url: _Url = None, key: Key = None, app: _App = None) -> None:
    """Queue a failed or cancelled run once more, with all its attempts."""
    with _source(url, key, app) as source:
        source.run(run_id).retry()
        typer.echo(Status.QUEUED.value)


@jobs.command("watch")
def watch_run(
    run_id: _RunId, *, url: _Url = None, key: Key = None, app: _App = None, json_output: _Json = False
) -> None:
    """Follow a run to its end, and print its result.

    Progress and log lines go to standard error; with --json each event is a line of JSON. Exit status: 0 when the run
    succeeded, 1 when it failed or was cancelled.
    """
    with _source(url, key, app) as source:
        raise typer.Exit(_watch(source.run(run_id), json_output=json_output))


@jobs.command("files")
def files(
    run_id: _RunId, *, url: _Url = None, key: Key = None, app: _App = None, json_output: _Json = False
) -> None:
    """List the files that a run has left."""
    with _source(url, key, app) as source:
        found = source.run(run_id).info()["files"]
        if json_output:
            print_value(found)
        else:
            print_files(found)


@jobs.command("download")
def download(
    run_id: _RunId,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]...", help="These files, as `chutes jobs files` lists them.", show_default="all"
        ),
    ] = None,
    *,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder for them; made when missing.")] = Path(),
    url: _Url = None,
    key: Key = None,
    app: _App = None,
) -> None:
    """Fetch the files that a run has left, and print where each is now.

    A file that is there already is replaced.
    """
    with _source(url, key, app) as source:
        run = source.run(run_id)
        wanted = paths or [file["path"] for file in run.info()["files"]]
        to.mkdir(parents=True, exist_ok=True)
        for path in wanted:
            typer.echo(run.download(path, to))


@jobs.command("purge")
def purge(
    job: _OneJob = None,
    *,
    days: Annotated[
        float, typer.Option(help="Days since their end, at least; 0 for all that have ended.", min=0.0)
    ] = 7.0,
    url: _Url = None,
    key: Key = None,
    app: _App = None,
) -> None:
    """Remove runs that ended long ago, and say how many."""
    with _source(url, key, app) as source:
        names = [one["name"] for one in source.describe()] if job is None else [job]
        typer.echo(sum(source.purge(name, older_than=days * _SECONDS_A_DAY) for name in names))


def _watch(run: RunSource, *, json_output: bool) -> int:
    events = run.events()
    if json_output:
        events = _printed(events)
        last: Any = {}
        for event in events:
            last = event.data if event.kind == "state" else last
        return 0 if last.get("status") == Status.SUCCEEDED else _FAILED
    last = follow_run(events, run.info())
    if last["status"] == Status.SUCCEEDED:
        print_value(last["result"])
        return 0
    typer.echo(f"Run {run.id} {'failed' if last['status'] == Status.FAILED else 'was cancelled'}.", err=True)
    if last["error"] and last["status"] == Status.FAILED:
        typer.echo(last["error"].rstrip("\n"), err=True)
    return _FAILED


def _printed(events: Iterator[JobEvent]) -> Iterator[JobEvent]:
    for event in events:
        print_value({"event": event.kind, **event.data})
        yield event


def _arguments(items: list[str], body: str | None) -> dict[str, Any]:
    given = arguments_of(items)
    if uploads := [name for name, value in given.items() if _is_upload(value)]:
        raise UsageError(f"A job takes JSON, no files. Write {uploads[0]}=@file for the text in a file.")
    if body is None:
        return given
    whole = body_of(body)
    if not isinstance(whole, dict):
        raise UsageError(
            f"--json is a JSON {type(whole).__name__}. A job takes an object of its arguments by name."
        )
    if given:
        raise UsageError("Give the arguments by name, or all of them with --json, not both.")
    return whole


def _is_upload(value: object) -> bool:
    return isinstance(value, Path) or (
        isinstance(value, list) and any(isinstance(one, Path) for one in value)
    )


@contextmanager
def _source(url: str | None, key: str | None, app: str | None) -> Iterator[JobsSource]:
    try:
        with jobs_source(url, key, app) as source:
            yield source
    except BrokenPipeError:
        # Whoever reads this command's output has seen enough: the command line ends quietly.
        raise
    except (UsageError, OSError) as exc:
        refuse(str(exc))
    except ConnectionFailed as exc:
        report(exc, debug=False)
        raise typer.Exit(_BAD_USAGE) from exc
