"""The options that say on which platform a command acts, and the platform itself."""

from typing import Annotated

import typer

from chutes.deploy import Platform
from chutes.deploy.find import PlatformOptions, check_platform, find_platform
from chutes.settings import Settings

__all__ = [
    "Address",
    "AsJson",
    "KubeContext",
    "Name",
    "Namespace",
    "To",
    "Tool",
    "open_platform",
    "platform_at",
    "say",
    "where_to",
]

To = Annotated[
    str | None,
    typer.Option(
        metavar="PLATFORM",
        help="Where it runs: local, kubernetes or ray.",
        show_default="CHUTES_DEPLOY_TO, else local",
    ),
]
Tool = Annotated[
    str | None,
    typer.Option(
        help="podman or docker, for what runs on this machine.",
        show_default="CHUTES_CONTAINER_TOOL, else what is installed",
    ),
]
Namespace = Annotated[
    str | None, typer.Option(help="Of Kubernetes.", show_default="the one that kubectl is set to")
]
KubeContext = Annotated[
    str | None,
    typer.Option("--context", help="The cluster, as kubectl calls it.", show_default="kubectl's current one"),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The dashboard of a Ray cluster.",
        show_default="RAY_API_SERVER_ADDRESS, else the cluster of `chutes cluster up`",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="username/name of a chute, or its name alone where it is the only one of it.",
        show_default=False,
    ),
]


def where_to(to: str | None, settings: Settings) -> str:
    """The name of the platform.

    Raises:
        DeployError: there is no such platform.
    """
    return check_platform(to or settings.deploy_to or "local")


def platform_at(
    to: str | None,
    *,
    tool: str | None = None,
    namespace: str | None = None,
    context: str | None = None,
    address: str | None = None,
) -> Platform:
    """The platform that a command acts on.

    Raises:
        DeployError: there is none of that name, or an option is another one's.
    """
    settings = Settings.from_env()
    options = PlatformOptions(tool=tool, namespace=namespace, context=context, address=address)
    return open_platform(where_to(to, settings), settings, options)


def open_platform(where: str, settings: Settings, options: PlatformOptions) -> Platform:
    """The platform of a name; the commands that it runs are shown.

    Raises:
        DeployError: an option is another one's, or its program is not installed.
    """
    return find_platform(where, settings, options, say)


def say(text: str) -> None:
    """Print a line of progress, where it is no part of the answer."""
    typer.echo(text, err=True)
