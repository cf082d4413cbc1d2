"""How `chutes call` prints an answer: on a terminal, into a pipe, or to a file."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import typer
from rich.console import Console
from rich.highlighter import JSONHighlighter

from chutes.cli.call_items import UsageError
from chutes.client import items, streams, value_of
from chutes.client.decode import media_type, stream_errors

__all__ = ["show", "show_head"]


def show_head(response: httpx2.Response, seconds: float) -> None:
    """Print what was sent and how the answer begins, on standard error."""
    request = response.request
    typer.echo(f"> {request.method} {request.url.copy_with(userinfo=b'')}", err=True)
    typer.echo(f"< {response.status_code} {response.reason_phrase}", err=True)
    for name, value in response.headers.multi_items():
        typer.echo(f"< {name}: {value}", err=True)
    typer.echo(f"* {seconds:.3f} s to the answer's head", err=True)


def show(response: httpx2.Response, *, stream: bool | None, output: Path | None) -> None:
    """Print a good answer, or write its bytes to a file.

    Args:
        response: the answer, unread.
        stream: whether to print it as it comes; None to do so when it is a stream.
        output: the file to write in place of printing.

    Raises:
        CallError: the answer broke off, or says in its stream that the chute failed.
        UsageError: bytes would go to a terminal.
        OSError: the file cannot be written.
    """
    if output is not None:
        _save(response, output)
    elif streams(response) if stream is None else stream:
        _print_items(response)
    else:
        with stream_errors(response):
            response.read()
        _print_value(response)


def _save(response: httpx2.Response, output: Path) -> None:
    with output.open("wb") as file, stream_errors(response):
        for chunk in response.iter_bytes():
            file.write(chunk)


def _print_items(response: httpx2.Response) -> None:
    media = media_type(response)
    last = ""
    for item in items(response):
        if isinstance(item, bytes):
            _print_bytes(item)
        elif isinstance(item, str) and media == "text/event-stream":
            typer.echo(_encoded(item))
        elif isinstance(item, str) and media.startswith("text/"):
            typer.echo(_encoded(item), nl=False)
            last = item
        else:
            typer.echo(_encoded(_compact(item)))
    if last and not last.endswith("\n") and sys.stdout.isatty():
        typer.echo()


def _print_value(response: httpx2.Response) -> None:
    value = value_of(response)
    on_terminal = sys.stdout.isatty()
    if not response.content:
        return
    if isinstance(value, bytes):
        _print_bytes(value)
    elif isinstance(value, str) and media_type(response).startswith("text/"):
        typer.echo(_encoded(value), nl=on_terminal and not value.endswith("\n"))
    elif on_terminal:
        pretty = _encoded(json.dumps(value, indent=2, ensure_ascii=False)).decode()
        Console().print(JSONHighlighter()(pretty), soft_wrap=True)
    else:
        typer.echo(_encoded(_compact(value)))


def _print_bytes(content: bytes) -> None:
    if sys.stdout.isatty():
        raise UsageError("The answer is binary. Write it to a file with --output FILE, or pipe it on.")
    typer.echo(content, nl=False)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _encoded(text: str) -> bytes:
    # Half of a surrogate pair has no UTF-8, and a backslash escape is what JSON itself writes for it.
    return text.encode("utf-8", "backslashreplace")
