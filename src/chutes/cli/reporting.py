"""How an error reads on the terminal, and the exit code that it gives."""

import traceback
from typing import NoReturn

import typer

from chutes.errors import (
    ChutesError,
    DefinitionError,
    EngineError,
    LoadError,
    ModelError,
    ServeError,
    SettingsError,
    StartupError,
)
from chutes.tracebacks import format_user_traceback, place_of, user_frames

__all__ = ["refuse", "report", "warn"]

_ERROR = typer.style("Error:", fg="red", bold=True)
_BAD_USAGE = 2
_FAILED = 1


def report(exc: ChutesError, *, debug: bool) -> int:
    """Print `exc` to stderr and return the exit code: 2 for what was given wrongly, else 1.

    The user's frames come first where they say more than the line. With `debug` all frames do.
    """
    if debug:
        _print("".join(traceback.format_exception(exc)))
    elif _needs_traceback(exc):
        _print(format_user_traceback(exc.__cause__ or exc))
    _print(f"{_ERROR} {_placed(exc)}")
    return (
        _BAD_USAGE if isinstance(exc, DefinitionError | LoadError | ServeError | SettingsError) else _FAILED
    )


def refuse(text: str) -> NoReturn:
    """Print what was given wrongly, and end the command."""
    _print(f"{_ERROR} {text}")
    raise typer.Exit(_BAD_USAGE)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    _print(f"{typer.style('Warning:', fg='yellow', bold=True)} {text}")


def _needs_traceback(exc: ChutesError) -> bool:
    cause = exc.__cause__
    if isinstance(exc, StartupError):
        # Of a model server that does not start, its own last lines are all that there is to say.
        return not isinstance(cause, EngineError | ModelError)
    # The text of a LoadError names one place already.
    return isinstance(exc, LoadError) and cause is not None and len(user_frames(cause)) > 1


def _placed(exc: ChutesError) -> str:
    """The text, with the line of the user's file that a definition stands in."""
    frames = user_frames(exc) if isinstance(exc, DefinitionError) else []
    if not frames:
        return str(exc)
    return f"{place_of(frames[-1].filename, frames[-1].lineno)}: {exc}"


def _print(text: str) -> None:
    typer.echo(text.rstrip("\n").encode(errors="backslashreplace").decode(), err=True)
