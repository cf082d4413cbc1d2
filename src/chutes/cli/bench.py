"""`chutes bench`: load a cord of a running chute, and say how it did."""

import asyncio
import dataclasses
import importlib.util
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer

from chutes.bench.plan import Arrivals, Plan
from chutes.bench.report import Report
from chutes.bench.requests import Target, prepare
from chutes.bench.run import measure
from chutes.bench.saturation import saturation_of
from chutes.bench.tally import Tally
from chutes.cli.bench_text import (
    failures_of_several,
    head,
    load_in_words,
    progress,
    report_lines,
    row,
    row_titles,
    saturation_sentence,
)
from chutes.cli.bench_words import calls_of, headers_of, plans_of
from chutes.cli.call_items import UsageError, address, arguments_of
from chutes.cli.debugging import is_debugging
from chutes.cli.remote import DEFAULT_URL, Items, Key, Method, RemoteTarget, Url, client_for, key_for
from chutes.cli.reporting import refuse, report, warn
from chutes.client import Call, Client, check
from chutes.client.decode import stream_errors
from chutes.errors import CallError, CallFailed, CallRefused, CallRejected

__all__ = ["bench"]

_NO_GOOD_ANSWER = 1
_BAD_USAGE = 2
_BLOCKS = "▏▎▍▌▋▊▉█"
_ASCII = "#"

_Clients = Annotated[
    str | None,
    typer.Option(
        "--clients",
        "-c",
        help="How many clients each send a call, wait for its answer, and send the next; several numbers, as in "
        "1,2,4,8, are measured one after the other. With --rate, the most connections.",
        show_default="8, with --rate 1000",
    ),
]
_Rate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        "-r",
        help="Calls a second, whether the chute keeps up or not; several are measured one after the other.",
        show_default=False,
    ),
]
_Arrivals = Annotated[
    Arrivals, typer.Option(help="Whether the calls of --rate come at random or evenly: poisson or constant.")
]
_Duration = Annotated[
    str | None,
    typer.Option(
        "--duration",
        "-d",
        help="How long calls are sent: seconds, or 500ms, 30s, 2m.",
        show_default="10s, without --requests",
    ),
]
_Requests = Annotated[
    int | None,
    typer.Option("--requests", "-n", help="How many calls are sent in each run.", show_default=False),
]
_Warmup = Annotated[
    int | None,
    typer.Option(
        help="How many calls before them are not counted.", show_default="one for each client, with --rate 8"
    ),
]
_Data = Annotated[
    str | None,
    typer.Option("--data", help="The whole body: JSON, @file, or - for standard input.", show_default=False),
]
_Inputs = Annotated[
    str | None,
    typer.Option(
        help="A file with the arguments of a call on each line, as a JSON object, to send in turn; - for standard "
        "input.",
        show_default=False,
    ),
]
_Headers = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", help="'Name: value'; give it once for each.", show_default=False),
]
_Timeout = Annotated[
    float, typer.Option(help="Seconds without a byte from the chute after which a call is given up.")
]
_Json = Annotated[
    bool, typer.Option("--json", help="Print everything as one JSON document; times in seconds.")
]


def bench(
    ctx: typer.Context,
    target: RemoteTarget,
    arguments: Items = None,
    *,
    clients: _Clients = None,
    rate: _Rate = None,
    arrivals: _Arrivals = "poisson",
    duration: _Duration = None,
    requests: _Requests = None,
    warmup: _Warmup = None,
    data: _Data = None,
    inputs: _Inputs = None,
    url: Url = DEFAULT_URL,
    method: Method = None,
    key: Key = None,
    header: _Headers = None,
    timeout: _Timeout = 60.0,
    json_output: _Json = False,
) -> None:
    """Load a cord of a running chute, and say how it did.

    Ctrl-C ends it early, and shows what was measured. Exit status: 0 when there was a good answer, 1 when there
    was none, 2 for bad usage.
    """
    with _exit_status(ctx):
        plans = plans_of(
            clients=clients,
            rate=rate,
            arrivals=arrivals,
            duration=duration,
            requests=requests,
            warmup=warmup,
            timeout=timeout,
        )
        base, place = address(target, url)
        calls = calls_of(place, arguments_of(arguments or ()), data=data, inputs=inputs, method=method)
        headers = _headers(header or (), key)
        with client_for(base, key, timeout) as client:
            prepared = prepare(client, base, calls, headers)
            _try(client, dataclasses.replace(calls[0], headers=headers))
    reports = _measure(plans, prepared, shown=not json_output)
    if json_output:
        typer.echo(_document(prepared, reports))
    if not any(one.good for one in reports):
        raise typer.Exit(_NO_GOOD_ANSWER)


@contextmanager
def _exit_status(ctx: typer.Context) -> Iterator[None]:
    try:
        yield
    except (UsageError, OSError) as exc:
        refuse(str(exc))
    except CallError as exc:
        report(exc, debug=is_debugging(ctx))
        unsent = isinstance(exc, CallRejected) and exc.status is None
        raise typer.Exit(_BAD_USAGE if unsent else _NO_GOOD_ANSWER) from exc


def _headers(given: Sequence[str], key: str | None) -> dict[str, str]:
    bearer = key_for(key).strip()
    return {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **headers_of(given)}


def _try(client: Client, call: Call) -> None:
    """Make one call, to learn now what would go wrong with all of them."""
    try:
        with client.send(call) as response:
            check(response, time.time())
            with stream_errors(response):
                for _ in response.iter_raw():
                    pass
    except (CallRefused, CallFailed):
        # A chute that is too busy, or fails now and then, is what a load may be about.
        return


def _measure(plans: Sequence[Plan], target: Target, *, shown: bool) -> list[Report]:
    """Run all plans, and show what came of each when it is known."""
    reports: list[Report] = []
    if shown:
        typer.echo(head(target.method, target.url, len(target.requests)) + "\n")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(plans, target, reports, shown=shown))
    if shown:
        _show_end(reports)
    return reports


async def _run(plans: Sequence[Plan], target: Target, reports: list[Report], *, shown: bool) -> None:
    stop = _stopped_by_ctrl_c()
    for plan in plans:
        made = await measure(plan, target, stop=stop, on_look=_on_look(shown=shown))
        reports.append(made)
        if shown:
            _clear_progress()
            _show(made, reports, several=len(plans) > 1)
        if stop.is_set():
            break


def _stopped_by_ctrl_c() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        # A second Ctrl-C ends the process.
        loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    return stop


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _show(made: Report, reports: Sequence[Report], *, several: bool) -> None:
    if several:
        if len(reports) == 1:
            typer.echo(row_titles(made))
        typer.echo(row(made, streams=reports[0].streams is not None))
        return
    blocks = _BLOCKS if (sys.stdout.encoding or "").lower().startswith("utf") else _ASCII
    for line in report_lines(made, shutil.get_terminal_size().columns, blocks):
        typer.echo(line.rstrip().encode(errors="backslashreplace"))


def _show_end(reports: Sequence[Report]) -> None:
    several = len(reports) > 1
    failures = failures_of_several(reports) if several else []
    if failures:
        typer.echo("\n" + "\n".join(failures))
    found = saturation_of(reports)
    if found is not None:
        typer.echo(f"\n{saturation_sentence(found)}")
    told: set[str] = set()
    for one in reports:
        for kind, sentence in one.complaints.items():
            if kind not in told:
                told.add(kind)
                warn(f"{load_in_words(one)}: {sentence}" if several else sentence)


def _document(target: Target, reports: Sequence[Report]) -> str:
    saturation = saturation_of(reports)
    return json.dumps(
        {
            "method": target.method,
            "url": target.url,
            "inputs": len(target.requests),
            "runs": [{**dataclasses.asdict(one), "failed": one.failed} for one in reports],
            "saturation": dataclasses.asdict(saturation) if saturation else None,
        },
        indent=2,
    )


def _on_look(*, shown: bool) -> Callable[[Tally, float], None] | None:
    if not shown or not sys.stderr.isatty():
        return None
    return lambda tally, seconds: typer.echo(f"\r\x1b[K{progress(tally, seconds)}", err=True, nl=False)


def _clear_progress() -> None:
    if sys.stderr.isatty():
        typer.echo("\r\x1b[K", err=True, nl=False)
