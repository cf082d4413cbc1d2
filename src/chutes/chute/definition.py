"""Everything that was said about one chute so far."""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chutes.chute.config import ChuteConfig
from chutes.chute.cord import Cord
from chutes.chute.hooks import Hook, in_order
from chutes.errors import DefinitionError, DuplicateName, DuplicatePath

if TYPE_CHECKING:
    from fastapi import FastAPI

    from chutes.chute.job import Job
    from chutes.chute.websocket import Socket
    from chutes.jobs.service import JobService

__all__ = ["Definition", "Running", "caller_globals", "check_called"]


class Running(Protocol):
    """What a chute becomes once it is served; made by `chutes.serve.app`."""

    @property
    def app(self) -> "FastAPI":
        """The FastAPI application."""

    @property
    def jobs(self) -> "JobService":
        """The runs of the jobs."""

    def add_cord(self, cord: Cord) -> None:
        """Serve one more cord."""

    def add_socket(self, socket: "Socket") -> None:
        """Serve one more websocket."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A slot for work outside cords."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as an ASGI application."""


@dataclass(slots=True)
class Definition:
    """The descriptions of one chute, in the order in which they were written.

    Attributes:
        config: the constructor values.
        modules: the globals of the modules in which the chute and its functions are written.
        functions: every decorated function by name.
        running: the chute as it is served, once it is.
    """

    config: ChuteConfig
    modules: list[dict[str, Any]]
    cords: list[Cord] = field(default_factory=list)
    jobs: "dict[str, Job]" = field(default_factory=dict)
    sockets: "list[Socket]" = field(default_factory=list)
    startup_hooks: list[Hook] = field(default_factory=list)
    shutdown_hooks: list[Hook] = field(default_factory=list)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    running: Running | None = None

    def ordered_startup(self) -> tuple[Hook, ...]:
        """The startup hooks in the order in which they run."""
        return in_order(self.startup_hooks)

    def ordered_shutdown(self) -> tuple[Hook, ...]:
        """The shutdown hooks in the order in which they run."""
        return in_order(self.shutdown_hooks)

    def add_cord(self, cord: Cord) -> None:
        """Add a cord, to the running chute too.

        Raises:
            DuplicatePath: another cord has this verb and path, and the two are no pair of which one streams.
        """
        twins = [other for other in self.cords if other.key == cord.key]
        if len(twins) > 1 or any(other.stream == cord.stream for other in twins):
            raise DuplicatePath(
                f"The cord {twins[0].name!r} answers {cord.method} {twins[0].path} already. Choose another path for "
                f"{cord.name!r}; two cords share one only when exactly one of them streams."
            )
        self._remember(cord.function, cord.name)
        self.cords.append(cord)
        if self.running is not None:
            self.running.add_cord(cord)

    def add_socket(self, socket: "Socket") -> None:
        """Add a websocket, to the running chute too.

        Raises:
            DuplicatePath: another websocket has this path.
        """
        for other in self.sockets:
            if other.key == socket.key:
                raise DuplicatePath(
                    f"The websocket {other.name!r} answers on {other.path!r} already. Choose another path."
                )
        self._remember(socket.function, socket.name)
        self.sockets.append(socket)
        if self.running is not None:
            self.running.add_socket(socket)

    def add_job(self, job: "Job") -> None:
        """Add a job.

        Raises:
            DuplicateName: another job has this name.
        """
        if job.name in self.jobs:
            raise DuplicateName(
                f"A job named {job.name!r} exists already. Give this one another: @chute.job(name=…)."
            )
        self._remember(job.function, job.function.__name__)
        self.jobs[job.name] = job

    def add_hook(self, hook: Hook, hooks: list[Hook]) -> None:
        """Add a hook to one of the two lists."""
        self._remember(hook.function, hook.name)
        hooks.append(hook)

    def find(self, name: str) -> Callable[..., Any] | None:
        """The decorated function of this name, else a function with `self` that stands beside one of them."""
        if name in self.functions:
            return self.functions[name]
        candidates = (namespace.get(name) for namespace in self.modules)
        return next((one for one in candidates if _takes_self(one)), None)

    def findable(self) -> Iterator[str]:
        """The names that `find` knows."""
        yield from self.functions
        for namespace in self.modules:
            yield from (name for name, value in namespace.items() if _takes_self(value))

    def _remember(self, function: Callable[..., Any], name: str) -> None:
        known = self.functions.get(name)
        if known is not None and known is not function:
            # The user's line is three frames up: the decorator, and what it adds to the definition, are ours.
            warnings.warn(f"Two functions are named {name!r}: self.{name} is the later one.", stacklevel=4)
        self.functions[name] = function
        namespace = getattr(inspect.unwrap(function), "__globals__", None)
        if namespace is not None and not any(namespace is seen for seen in self.modules):
            self.modules.append(namespace)


def check_called(decorator: str, first: object, example: str) -> None:
    """Raise `DefinitionError` when a decorator was written without its parentheses."""
    if inspect.isroutine(first):
        raise DefinitionError(f"Write {example}, with the parentheses, not @chute.{decorator}.")


def caller_globals() -> dict[str, Any]:
    """The globals of the module that makes the chute: the first frame outside this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to learn where the chute is written
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "chutes":
        frame = frame.f_back
    return frame.f_globals


def _takes_self(candidate: object) -> bool:
    """Whether `candidate` is a function, wrapped ones included, whose first parameter is named self."""
    if not callable(candidate) or inspect.isclass(candidate):
        return False
    try:
        parameters = list(inspect.signature(candidate).parameters)
    except (TypeError, ValueError):
        return False
    return parameters[:1] == ["self"]
