"""`chutes models`: see which models are here, fetch them beforehand, and remove them."""

from typing import Annotated

import typer

from chutes.cli.models_text import Download, print_model, print_models
from chutes.cli.models_wanted import wanted_model
from chutes.models.cached import cached_models, remove_cached
from chutes.models.find import find_model
from chutes.models.progress import size_text

__all__ = ["models"]

models = typer.Typer(help="List, fetch and remove models.", add_completion=False)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models.callback(invoke_without_command=True)
def _models(ctx: typer.Context, *, json_output: _Json = False) -> None:
    """List the models in the cache; with a command, fetch or remove one.

    The cache is that of huggingface_hub, which every program on this machine shares: HF_HOME says where it is.
    """
    if ctx.invoked_subcommand is None:
        print_models(cached_models(), as_json=json_output)


@models.command("pull")
def pull(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|CHUTE",
            help="owner/name on the hub, with :file.gguf or :Q4_K_M for one GGUF file; or a chute such as app.py or app:chute, "
            "for the model that it serves.",
            show_default=False,
        ),
    ],
    *,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit on the hub.", show_default="the main branch")
    ] = None,
    json_output: _Json = False,
) -> None:
    """Fetch a model into the cache, so that a chute starts without waiting for it, or without a network."""
    wanted = wanted_model(target, revision)
    with Download() as progress:
        model = find_model(wanted.name, revision=wanted.revision, forms=wanted.forms, progress=progress)
    print_model(model, as_json=json_output)


@models.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="owner/name on the hub.", show_default=False)],
    *,
    revision: Annotated[
        str | None,
        typer.Option(help="Only this commit, branch or tag.", show_default="everything of the model"),
    ] = None,
) -> None:
    """Remove a model from the cache. Other programs on this machine lose it too."""
    freed = remove_cached(name, revision=revision)
    typer.echo(f"Removed {name}: {size_text(freed)}.")
