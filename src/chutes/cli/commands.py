"""The commands, each imported when it runs, and how their errors end the process."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

import chutes
from chutes.cli.debugging import Debug, is_debugging
from chutes.cli.reporting import report
from chutes.errors import ChutesError

__all__ = ["COMMANDS", "application", "main"]

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "new": "Write a starter chute that runs, and its test.",
        "run": "Serve a chute.",
        "worker": "Run the jobs of a chute, without serving it.",
        "show": "Show what a chute consists of, without running it.",
        "call": "Call a cord of a running chute and print its answer.",
        "jobs": "Submit, look at, follow and cancel runs of jobs.",
        "bench": "Load a cord of a running chute, and say how it did.",
        "models": "List, fetch and remove models.",
        "build": "Make a container image of a chute.",
        "manifests": "Print a chute as YAML for Kubernetes.",
        "deploy": "Build the image of a chute, and have it run on a platform.",
        "list": "List the chutes that run on a platform.",
        "status": "Show the instances and the revisions of a deployed chute.",
        "logs": "Show what the instances of a deployed chute write.",
        "scale": "Say how many instances of a deployed chute run.",
        "rollback": "Have an older revision of a deployed chute run again.",
        "delete": "End a deployed chute, and forget its revisions.",
        "cluster": "Run a Ray cluster on this machine, for trying.",
        "keys": "Make API keys, and secrets for webhooks.",
    }
)
"""The modules of this package that hold a command of their name, and what the help says of each."""

_LISTING = "chutes.cli.listing"
_INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands: it imports none that is not asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order in which they are met."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; only its name and help while all are listed."""
        if cmd_name not in COMMANDS:
            return None
        if ctx.meta.get(_LISTING):
            return TyperCommand(name=cmd_name, help=COMMANDS[cmd_name])
        return _command(cmd_name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        ctx.meta[_LISTING] = True
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error of ours becomes a line on stderr and an exit code."""
        try:
            result = super().invoke(ctx)
            # A reader that left is noticed here, where that can still be ended quietly.
            sys.stdout.flush()
        except ChutesError as exc:
            raise typer.Exit(report(exc, debug=is_debugging(ctx))) from exc
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None
        return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default with the arguments of the process, and exit."""
    application()(arguments, prog_name="chutes")


def application() -> typer.Typer:
    """The command line as a typer application."""
    app = typer.Typer(
        cls=Commands,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_chutes)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chutes {chutes.__version__}")
        raise typer.Exit


_Version = Annotated[
    bool,
    typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
]


def _chutes(ctx: typer.Context, *, version: _Version = False, debug: Debug = False) -> None:
    """Turn one Python file into a served AI application."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def _command(name: str) -> Any:
    found = getattr(importlib.import_module(f"chutes.cli.{name}"), name)
    if isinstance(found, typer.Typer):
        group = found
    else:
        group = typer.Typer(add_completion=False)
        group.command(name)(found)
    command = typer.main.get_command(group)
    command.name = name
    return command
