"""`chutes run`: serve a chute, with reload if asked."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from chutes.chute.chute import Chute, definition_of
from chutes.cli.arguments import Reference
from chutes.cli.debugging import Debug
from chutes.cli.serving import LOG_LEVEL, LogLevel, ProbePort, begin_logging, serve_to_the_end
from chutes.loading import load_chute, locate
from chutes.serve.server import ServerOptions
from chutes.settings import Settings

__all__ = ["run"]

_HOST = "127.0.0.1"
_PORT = 8000

_Host = Annotated[
    str | None,
    typer.Option(help="Address to bind; 0.0.0.0 for every one.", show_default=f"CHUTES_HOST, else {_HOST}"),
]
_Port = Annotated[
    int | None,
    typer.Option(
        help="Port to listen on; 0 takes a free one.",
        min=0,
        max=65535,
        show_default=f"CHUTES_PORT, else {_PORT}",
    ),
]
_Reload = Annotated[
    bool, typer.Option("--reload", "--dev", help="Start again whenever a Python file beside it is saved.")
]
_ReloadDir = Annotated[
    list[Path] | None,
    typer.Option(help="One more folder to watch; give it once for each.", show_default=False),
]
_NoJobs = Annotated[
    bool,
    typer.Option(
        "--no-jobs", help="Accept and show runs of jobs, and leave them to workers: `chutes worker`."
    ),
]
_DrainDelay = Annotated[
    float | None,
    typer.Option(
        help="Seconds for which work is still accepted after the signal to stop.",
        min=0.0,
        show_default="CHUTES_DRAIN_DELAY, else the chute's",
    ),
]


def run(
    reference: Reference,
    *,
    host: _Host = None,
    port: _Port = None,
    probe_port: ProbePort = None,
    reload: _Reload = False,
    reload_dir: _ReloadDir = None,
    log_level: LogLevel = None,
    drain_delay: _DrainDelay = None,
    no_jobs: _NoJobs = False,
    debug: Debug = False,
) -> None:
    """Serve a chute.

    It ends with Ctrl-C or SIGTERM. CHUTES_API_KEYS closes it to all who have no key.
    """
    settings = Settings.from_env()
    options = replace(_options(settings, host, port, probe_port, log_level), jobs=not no_jobs)
    begin_logging(settings, options.log_level)
    if reload and settings.listen_fd is None:
        folders = [locate(reference).root, *(reload_dir or ())]
        # It brings what watches files, which most processes never need.
        from chutes.serve.reload import serve_with_reload, this_program

        code = serve_with_reload(this_program(), watch=folders, host=options.host, port=options.port)
    else:
        chute = load_chute(reference)
        delay = drain_delay if drain_delay is not None else settings.drain_delay
        if delay is not None:
            _set_drain_delay(chute, delay)
        code = serve_to_the_end(chute, options, settings)
    raise typer.Exit(code)


def _options(
    settings: Settings, host: str | None, port: int | None, probe_port: int | None, log_level: str | None
) -> ServerOptions:
    """What to serve on: the command line's word, else the environment's, else the default."""
    ports = (port, settings.port, _PORT)
    return ServerOptions(
        host=host or settings.host or _HOST,
        port=next(number for number in ports if number is not None),
        log_level=log_level or settings.log_level or LOG_LEVEL,
        fd=settings.listen_fd,
        probe_port=probe_port if probe_port is not None else settings.probe_port,
    )


def _set_drain_delay(chute: Chute, seconds: float) -> None:
    definition = definition_of(chute)
    definition.config = replace(definition.config, drain_delay=seconds)
