"""What `chutes run` and `chutes worker` have in common: options, logging and the end of the process."""

import logging
from typing import Annotated

import typer

from chutes.chute.chute import Chute
from chutes.errors import StartupError
from chutes.serve.ending import leave_threads_behind
from chutes.serve.logs import configure_logging
from chutes.serve.server import ServerOptions, serve
from chutes.settings import Settings

__all__ = ["LOG_LEVEL", "LogLevel", "ProbePort", "begin_logging", "serve_to_the_end"]

LOG_LEVEL = "info"
"""What is logged where nobody says otherwise."""

ProbePort = Annotated[
    int | None,
    typer.Option(
        help="A second port, answered while code blocks the first: /livez, /readyz, /metrics; 0 takes a free one.",
        min=0,
        max=65535,
        show_default="CHUTES_PROBE_PORT, else none",
    ),
]
LogLevel = Annotated[
    str | None,
    typer.Option(
        help="debug, info, warning, error or critical.", show_default=f"CHUTES_LOG_LEVEL, else {LOG_LEVEL}"
    ),
]


def begin_logging(settings: Settings, level: str) -> None:
    """Log from now on, first of variables that look misspelt.

    Raises:
        SettingsError: there is no such level.
    """
    configure_logging(settings, level)
    for sentence in settings.unknown():
        logging.getLogger("chutes.settings").warning("%s", sentence)


def serve_to_the_end(chute: Chute, options: ServerOptions, settings: Settings) -> int:
    """Serve until a signal ends it; returns the exit code, also where threads of the user's code go on."""
    try:
        code = serve(chute, options, settings)
    except StartupError:
        leave_threads_behind(1)
        raise
    leave_threads_behind(code)
    return code
