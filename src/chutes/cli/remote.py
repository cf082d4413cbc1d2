"""What commands that call a running chute have in common: their options, and the client."""

from typing import Annotated

import typer

from chutes.cli.call_items import UsageError
from chutes.client import Client
from chutes.settings import Settings

__all__ = ["DEFAULT_URL", "Items", "Key", "Method", "RemoteTarget", "Url", "client_for", "key_for"]

DEFAULT_URL = "http://127.0.0.1:8000"

RemoteTarget = Annotated[
    str,
    typer.Argument(
        metavar="URL|PATH|CORD",
        help="http://host:port/path, or a path or the name of a cord at --url.",
        show_default=False,
    ),
]
Items = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME=VALUE]...",
        help="name=text, name:=json, name@file to upload, name=@file for the text in a file, name:=@file for "
        "its JSON. A name given twice is a list.",
        show_default=False,
    ),
]
Url = Annotated[str, typer.Option(help="Where the chute is, when the target does not say.")]
Method = Annotated[
    str | None,
    typer.Option(help="The HTTP method; by default the one that the chute lists.", show_default=False),
]
Key = Annotated[
    str | None, typer.Option(help="The API key; by default that of CHUTES_API_KEY.", show_default=False)
]


def client_for(base: str, key: str | None, timeout: float) -> Client:
    """A client of the chute at `base`.

    Raises:
        UsageError: the address or the key cannot be.
    """
    try:
        return Client(base, api_key=key_for(key), timeout=timeout)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


def key_for(key: str | None) -> str:
    """The key of the command line, else that of `CHUTES_API_KEY`; empty for none."""
    return Settings.from_env().api_key if key is None else key
