"""`chutes delete`: end a deployed chute."""

import sys
from typing import Annotated

import typer

from chutes.cli.platform_options import Address, KubeContext, Name, Namespace, To, Tool, platform_at, say
from chutes.cli.reporting import refuse
from chutes.deploy import Deployment
from chutes.deploy.service import find_deployment

__all__ = ["delete"]

_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_Data = Annotated[
    bool,
    typer.Option(
        "--data",
        help="Also what it kept: runs of jobs and their files. Models that chutes share stay.",
    ),
]


def delete(
    name: Name,
    *,
    to: To = None,
    yes: _Yes = False,
    data: _Data = False,
    tool: Tool = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    address: Address = None,
) -> None:
    """End a deployed chute, and forget its revisions.

    What it kept stays, and is there again when it is deployed anew; --data removes it too.
    """
    platform = platform_at(to, tool=tool, namespace=namespace, context=context, address=address)
    deployment = find_deployment(platform, name)
    if not yes:
        _ask(deployment, data=data)
    platform.delete(deployment.slug, data=data, say=say)


def _ask(deployment: Deployment, *, data: bool) -> None:
    if not sys.stdin.isatty():
        refuse(f"Nobody can be asked here whether to delete {deployment.slug}. Write --yes if you are sure.")
    number = len(deployment.instances)
    instances = "1 instance" if number == 1 else f"{number} instances"
    kept = "with all that it kept" if data else "what it kept stays"
    typer.confirm(f"Delete {deployment.slug}, {instances}, {kept}?", abort=True, err=True)
