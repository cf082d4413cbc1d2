"""A hook: a function that runs when a chute starts or stops."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chutes.chute.cord import check_function
from chutes.errors import DefinitionError

__all__ = ["Hook", "in_order", "make_hook"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One startup or shutdown function; a lower `priority` runs earlier."""

    function: Callable[..., Any]
    name: str
    priority: int = 50


def make_hook(function: Callable[..., Any], priority: int) -> Hook:
    """Check and describe a hook.

    Raises:
        DefinitionError: it is no function that takes the chute, or its priority is no number.
    """
    check_function(function, "hook")
    _check_nothing_more(function)
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise DefinitionError(
            f"Invalid priority {priority!r} for hook {function.__name__!r}. It takes a whole number."
        )
    return Hook(function=function, name=function.__name__, priority=priority)


def in_order(hooks: list[Hook]) -> tuple[Hook, ...]:
    """Lower priorities first, equal ones as they were written."""
    return tuple(sorted(hooks, key=lambda hook: hook.priority))


def _check_nothing_more(function: Callable[..., Any]) -> None:
    empty, variadic = (
        inspect.Parameter.empty,
        (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD),
    )
    rest = list(inspect.signature(function).parameters.values())[1:]
    needed = [repr(one.name) for one in rest if one.default is empty and one.kind not in variadic]
    if needed:
        raise DefinitionError(
            f"The hook {function.__name__!r} needs {', '.join(needed)}, and a hook gets the chute alone. "
            "Give them defaults, or read them from self."
        )
