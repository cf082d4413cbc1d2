"""`chutes build`: make a container image of a chute."""

from pathlib import Path
from typing import Annotated

import typer

from chutes.build import Context, Options, find_tool, references
from chutes.build import build as build_image
from chutes.build.containerfile import APP
from chutes.cli.arguments import Reference
from chutes.cli.build_context import read_context
from chutes.cli.debugging import Debug
from chutes.cli.reporting import refuse
from chutes.settings import Settings

__all__ = ["build"]

_SHOWN_FILES = 8
_Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- TOOL OPTIONS",
        help="More options for the tool's own build, after two dashes, such as -- --network host.",
        show_default=False,
    ),
]
_Tag = Annotated[
    str | None,
    typer.Option("--tag", "-t", help="What to call the image.", show_default="the chute's username/name:tag"),
]
_Registry = Annotated[
    str | None,
    typer.Option(
        help="Host and path that go before the name, such as registry.example.com/team.", show_default=False
    ),
]
_Push = Annotated[bool, typer.Option("--push", help="Send the image to its registry.")]
_Platform = Annotated[str | None, typer.Option(help="Such as linux/arm64.", show_default="this machine's")]
_Secret = Annotated[
    list[str] | None,
    typer.Option(
        help="A file that RUN --mount=type=secret,id=NAME may read, as id=NAME,src=FILE. It is not kept.",
        show_default=False,
    ),
]
_Save = Annotated[
    Path | None,
    typer.Option(help="Also write the image to this file, for `podman load` elsewhere.", show_default=False),
]
_ContextFolder = Annotated[
    Path | None,
    typer.Option(
        "--context",
        help="Write the Dockerfile and all files that it takes into this folder, and build nothing.",
        show_default=False,
    ),
]
_Tool = Annotated[
    str | None,
    typer.Option(
        help="podman, docker or buildah.", show_default="CHUTES_CONTAINER_TOOL, else what is installed"
    ),
]


def build(
    reference: Reference,
    tool_arguments: _Arguments = None,
    *,
    tag: _Tag = None,
    registry: _Registry = None,
    push: _Push = False,
    platform: _Platform = None,
    secret: _Secret = None,
    save: _Save = None,
    context_folder: _ContextFolder = None,
    tool: _Tool = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Build every step anew.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build even if an image of the same files is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the Dockerfile and what would be done, and do nothing.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Make a container image of a chute.

    Libraries that this machine lacks are replaced by stand-ins while the file is read. The last line on the standard
    output is the image's name; everything else goes to the standard error.
    """
    settings = Settings.from_env()
    options = Options(
        reference=tag,
        registry=registry,
        platform=platform,
        secrets=_checked(secret or []),
        use_cache=not no_cache,
        force=force,
        arguments=tool_arguments or [],
    )
    context = read_context(reference)
    if dry_run:
        _describe(context, options)
        return
    if context_folder is not None:
        context.write(context_folder)
        _say(f"Wrote the build context: {_files_in_words(context)}.")
        _say(f"Build it with: docker build --tag {references(context, options)[0]} {context_folder}")
        return
    builder = find_tool(tool or settings.container_tool, lambda command: _say(f"$ {command}"))
    _say(f"{_files_in_words(context)}.")
    built = build_image(context, builder, options)
    if not built.is_new:
        _say("Nothing to do: the image of exactly these files is there.")
    if save is not None:
        builder.save(built.references[0], save)
    if push:
        for name in built.references:
            builder.push(name)
    typer.echo(built.references[-1])


def _describe(context: Context, options: Options) -> None:
    typer.echo(f"# {', '.join(references(context, options))}")
    for name, source in context.files.items():
        typer.echo(f"# {name}{f'  from {source}' if isinstance(source, Path) else ''}")
    typer.echo(context.dockerfile, nl=False)


def _files_in_words(context: Context) -> str:
    names = [name.removeprefix(f"{APP}/") for name in context.files if name.startswith(f"{APP}/")]
    more = f" and {len(names) - _SHOWN_FILES} more" if len(names) > _SHOWN_FILES else ""
    return (
        f"{len(context.files)} files, {context.size / 1e6:.1f} MB; of the chute: "
        f"{', '.join(names[:_SHOWN_FILES])}{more}"
    )


def _checked(secrets: list[str]) -> list[str]:
    for secret in secrets:
        parts = dict(part.partition("=")[::2] for part in secret.split(","))
        if "id" not in parts:
            refuse(
                f"Invalid --secret {secret!r}. Write id=NAME,src=FILE, for example id=token,src=token.txt."
            )
        source = parts.get("src") or parts.get("source")
        if source and not Path(source).is_file():
            refuse(f"Invalid --secret {secret!r}. There is no file '{source}'.")
    return secrets


def _say(text: str) -> None:
    typer.echo(text, err=True)
