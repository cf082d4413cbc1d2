"""The option --debug, which every command that runs the user's code takes."""

from typing import Annotated, Any

import typer

__all__ = ["Debug", "is_debugging"]

_KEY = "chutes.cli.debug"


def _remember(ctx: typer.Context, value: bool) -> bool:
    if value:
        # Shared by the contexts of all commands, so that it acts wherever it is written.
        ctx.meta[_KEY] = True
    return value


Debug = Annotated[
    bool, typer.Option("--debug", help="Show errors with their whole traceback.", callback=_remember)
]


def is_debugging(ctx: Any) -> bool:
    """Whether --debug was given, to this command or to one around it."""
    return bool(ctx.meta.get(_KEY))
