"""`chutes logs`: what the instances of a deployed chute write."""

from typing import Annotated

import typer

from chutes.cli.platform_options import Address, KubeContext, Name, Namespace, To, Tool, platform_at
from chutes.deploy.service import find_deployment

__all__ = ["logs"]

_Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with the lines that come, until Ctrl-C.")
]
_Lines = Annotated[int, typer.Option("--lines", "-n", help="Lines from before, at most.", min=0)]
_Instance = Annotated[
    str | None, typer.Option(help="Only this one, as `chutes status` calls it.", show_default="all")
]


def logs(
    name: Name,
    *,
    to: To = None,
    follow: _Follow = False,
    lines: _Lines = 100,
    instance: _Instance = None,
    tool: Tool = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    address: Address = None,
) -> None:
    """Show what the instances of a deployed chute write."""
    platform = platform_at(to, tool=tool, namespace=namespace, context=context, address=address)
    slug = find_deployment(platform, name).slug
    for line in platform.logs(slug, lines=lines, follow=follow, instance=instance):
        typer.echo(line)
