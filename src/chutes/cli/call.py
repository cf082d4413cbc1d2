"""`chutes call`: one call of a running chute from the shell."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from chutes.cli.call_answer import show, show_head
from chutes.cli.call_items import UsageError, address, arguments_of, body_of
from chutes.cli.debugging import is_debugging
from chutes.cli.remote import DEFAULT_URL, Items, Key, Method, RemoteTarget, Url, client_for
from chutes.cli.reporting import refuse, report
from chutes.client import ABSENT, Call, check
from chutes.errors import CallError, CallRejected, ConnectionFailed

__all__ = ["call"]

_CHUTE_FAILED = 1
_BAD_USAGE = 2

_Body = Annotated[
    str | None,
    typer.Option("--json", help="The whole body: JSON, @file, or - for standard input.", show_default=False),
]
_Stream = Annotated[
    bool | None,
    typer.Option(
        "--stream/--no-stream",
        help="Print the answer as it comes, or when it is whole; by default as it comes when it is a stream.",
        show_default=False,
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Write the answer's bytes to this file.", dir_okay=False, show_default=False
    ),
]
_Timeout = Annotated[
    float, typer.Option(help="Seconds without a byte from the chute after which the call fails.", min=0.001)
]
_Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show the status, headers and time, on standard error.")
]


def call(
    ctx: typer.Context,
    target: RemoteTarget,
    arguments: Items = None,
    *,
    url: Url = DEFAULT_URL,
    json_body: _Body = None,
    method: Method = None,
    key: Key = None,
    stream: _Stream = None,
    output: _Output = None,
    timeout: _Timeout = 60.0,
    verbose: _Verbose = False,
) -> None:
    """Call a cord of a running chute and print its answer.

    Exit status: 0 for a good answer, 1 when the chute answered with an error, 2 for bad usage or no
    connection.
    """
    with _exit_status(ctx):
        base, place = address(target, url)
        request = Call(
            target=place,
            arguments=arguments_of(arguments or ()),
            body=ABSENT if json_body is None else body_of(json_body),
            method=method,
        )
        start = time.perf_counter()
        with client_for(base, key, timeout) as client, client.send(request) as response:
            if verbose:
                show_head(response, time.perf_counter() - start)
            check(response, time.time())
            show(response, stream=stream, output=output)
        if verbose:
            typer.echo(f"* {time.perf_counter() - start:.3f} s in all", err=True)


@contextmanager
def _exit_status(ctx: typer.Context) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # Whoever reads this command's output has seen enough: the command line ends quietly.
        raise
    except (UsageError, OSError) as exc:
        refuse(str(exc))
    except CallError as exc:
        report(exc, debug=is_debugging(ctx))
        unsent = isinstance(exc, ConnectionFailed) or (isinstance(exc, CallRejected) and exc.status is None)
        raise typer.Exit(_BAD_USAGE if unsent else _CHUTE_FAILED) from exc
