"""A socket: one websocket endpoint of a chute, as a frozen value."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chutes.chute.cord import check_function, check_path, normal_path
from chutes.errors import DefinitionError

__all__ = ["Socket", "make_socket"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Socket:
    """One websocket endpoint: the coroutine function, and where it answers."""

    function: Callable[..., Any]
    name: str
    path: str

    @property
    def key(self) -> str:
        """What must be unique: the normalised path."""
        return normal_path(self.path)


def make_socket(function: Callable[..., Any], path: str) -> Socket:
    """Check and describe a websocket.

    Raises:
        InvalidPath: the path has a form that no request can have.
        DefinitionError: the function is not `async def`, or takes no chute.
    """
    check_function(function, "websocket")
    check_path(path, f"websocket {function.__name__!r}")
    if not inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise DefinitionError(
            f"The websocket {function.__name__!r} is not asynchronous. Write `async def {function.__name__}(self, websocket)`."
        )
    return Socket(function=function, name=function.__name__, path=path)
