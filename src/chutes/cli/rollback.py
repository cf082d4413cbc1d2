"""`chutes rollback`: have an older revision of a deployed chute run again."""

from typing import Annotated

import typer

from chutes.cli.platform_options import Address, KubeContext, Name, Namespace, To, Tool, platform_at, say
from chutes.cli.reporting import refuse
from chutes.deploy.service import rollback as back

__all__ = ["rollback"]

_Revision = Annotated[
    int | None,
    typer.Argument(
        metavar="REVISION",
        help="Its number, as `chutes status` lists it.",
        show_default="the last one before the current that got ready",
        min=1,
    ),
]


def rollback(
    name: Name,
    revision: _Revision = None,
    *,
    to: To = None,
    tool: Tool = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    address: Address = None,
) -> None:
    """Have an older revision of a deployed chute run again.

    It becomes a new revision, which answers once it is ready. A second rollback goes further back.
    """
    if to is not None and to.isdigit():
        refuse(f"--to names a platform. For revision {to} write: chutes rollback {name} {to}")
    platform = platform_at(to, tool=tool, namespace=namespace, context=context, address=address)
    done = back(platform, name, revision, say=say)
    if done.is_new:
        say(f"{done.deployment.slug} runs as it was, as revision {done.deployment.current}.")
    else:
        say(
            f"Nothing to do: revision {done.deployment.current} of {done.deployment.slug} is the current one."
        )
