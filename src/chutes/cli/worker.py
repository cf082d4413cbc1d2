"""`chutes worker`: run the jobs of a chute in a process of their own."""

from dataclasses import replace
from typing import Annotated

import typer

from chutes.chute.chute import definition_of
from chutes.cli.arguments import Reference
from chutes.cli.debugging import Debug
from chutes.cli.serving import LOG_LEVEL, LogLevel, ProbePort, begin_logging, serve_to_the_end
from chutes.errors import DefinitionError
from chutes.loading import load_chute
from chutes.serve.server import ServerOptions
from chutes.settings import Settings

__all__ = ["worker"]

_MaxJobs = Annotated[
    int | None,
    typer.Option(help="Runs at once, at most.", min=1, show_default="the chute's, else 1 with a GPU, else 4"),
]


def worker(
    reference: Reference,
    *,
    max_jobs: _MaxJobs = None,
    probe_port: ProbePort = None,
    log_level: LogLevel = None,
    debug: Debug = False,
) -> None:
    """Run the jobs of a chute, without serving it.

    It runs the startup hooks, and takes runs from the database of CHUTES_DATABASE_URL, else of CHUTES_HOME, until
    Ctrl-C or SIGTERM. Any number of workers may share one database.
    """
    settings = Settings.from_env()
    options = ServerOptions(
        host=settings.host or "127.0.0.1",
        log_level=log_level or settings.log_level or LOG_LEVEL,
        probe_port=probe_port if probe_port is not None else settings.probe_port,
        http=False,
    )
    begin_logging(settings, options.log_level)
    chute = load_chute(reference)
    definition = definition_of(chute)
    if not definition.jobs:
        raise DefinitionError(
            f"{chute.config.username}/{chute.config.name} has no jobs. Write one with `@chute.job()`, or serve the chute "
            "with `chutes run`."
        )
    if max_jobs is not None:
        definition.config = replace(definition.config, max_jobs=max_jobs)
    raise typer.Exit(serve_to_the_end(chute, options, settings))
