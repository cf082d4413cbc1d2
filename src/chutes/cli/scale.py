"""`chutes scale`: how many instances of a deployed chute run."""

from typing import Annotated

import typer

from chutes.cli.platform_options import Address, KubeContext, Name, Namespace, To, Tool, platform_at, say
from chutes.cli.reporting import refuse
from chutes.deploy.service import scale as scaled

__all__ = ["scale"]

_BY_LOAD = "auto"
_MOST_DIGITS = 5
_Number = Annotated[
    str,
    typer.Argument(
        metavar="NUMBER|auto",
        help="So many, whatever the load; or auto: as many as the load asks for, within the chute's bounds.",
        show_default=False,
    ),
]


def scale(
    name: Name,
    number: _Number,
    *,
    to: To = None,
    tool: Tool = None,
    namespace: Namespace = None,
    context: KubeContext = None,
    address: Address = None,
) -> None:
    """Say how many instances of a deployed chute run.

    The number holds for later deploys too.
    """
    instances = _instances(number)
    platform = platform_at(to, tool=tool, namespace=namespace, context=context, address=address)
    done = scaled(platform, name, instances, say=say)
    words = "runs as many instances as the load asks for" if instances is None else f"runs at {instances}"
    say(f"{done.deployment.slug} {words}{'' if done.is_new else ' already'}.")


def _instances(number: str) -> int | None:
    if number == _BY_LOAD:
        return None
    if not number.isascii() or not number.isdigit() or len(number) > _MOST_DIGITS:
        refuse(f"Invalid number of instances {number!r}. Write a whole number, for example 3, or {_BY_LOAD}.")
    return int(number)
