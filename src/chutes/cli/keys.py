"""`chutes keys`: make API keys, and secrets that sign webhooks."""

import base64
import secrets
from typing import Annotated

import typer

from chutes.cli.reporting import refuse

__all__ = ["keys"]

_KEY_BYTES = 32

keys = typer.Typer(
    help="Make API keys, and secrets for webhooks.", no_args_is_help=True, add_completion=False
)


@keys.callback()
def _keys() -> None:
    """Make API keys, and secrets for webhooks."""


@keys.command("new")
def new_key(
    label: Annotated[
        str, typer.Option(help="Whose key it is; a note for those who read the file.", show_default=False)
    ] = "",
) -> None:
    """Print a new key, once, and the line for the file of keys.

    The file holds hashes only: who reads it cannot call the chute. Set CHUTES_API_KEYS to its path.
    """
    if not label.isprintable():
        refuse(f"Invalid label {label!r}. Write one line.")
    key = secrets.token_urlsafe(_KEY_BYTES)
    from chutes.serve.auth import hash_key

    typer.echo(f"key:   {key}")
    typer.echo(f"line:  {hash_key(key)}  {label}".rstrip())
    typer.echo(
        "\nGive the key to its user: it is not shown again. Add the line to a file, and serve with\n"
        "CHUTES_API_KEYS=./keys.txt chutes run app.py",
        err=True,
    )


@keys.command("webhook")
def new_webhook_secret() -> None:
    """Print a new secret that signs the webhooks of jobs.

    The chute gets it as CHUTES_WEBHOOK_SECRET, and each receiver gets it to check the signatures.
    """
    typer.echo(f"whsec_{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}")
