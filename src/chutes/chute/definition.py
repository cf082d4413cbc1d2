"""Everything that was said about one chute so far."""

import inspect
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chutes.chute.config import ChuteConfig
from chutes.chute.cord import Cord
from chutes.chute.hooks import Hook, in_order
from chutes.errors import DefinitionError, DuplicateName, DuplicatePath

if TYPE_CHECKING:
    from fastapi import FastAPI

    from chutes.chute.engine import EngineSpec
    from chutes.chute.job import Job
    from chutes.chute.websocket import Socket
    from chutes.jobs.service import JobService

__all__ = [
    "MODEL_CALLS",
    "Definition",
    "Running",
    "caller_globals",
    "check_called",
    "define",
]

MODEL_CALLS = frozenset(
    {"chat", "chat_stream", "completion", "completion_stream", "embed", "generate", "generate_stream", "models"}
)  # fmt: skip
"""What `self` has on a chute that serves a model: calls of that model."""


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

    @property
    def model(self) -> Any:
        """The calls of the model that the chute serves, under the names in `MODEL_CALLS`."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A slot for work outside cords."""

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Answer as an ASGI application."""


@dataclass(slots=True)
class Definition:
    """The descriptions of one chute, in the order in which they were written.

    Attributes:
        config: the constructor values.
        modules: the globals of the modules in which the chute and its functions are written.
        functions: every decorated function by name.
        engine: the engine that serves the chute's model; None for a chute without one.
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
    engine: "EngineSpec | None" = None
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
        if self.engine is not None and self.running is None:
            from chutes.chute.hosted import is_engine_cord

            # Who writes a cord on one of the engine's paths wants it in the place of that.
            replaced = [other for other in twins if is_engine_cord(other)]
            self.cords = [other for other in self.cords if other not in replaced]
            twins = [other for other in twins if other not in replaced]
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

    @staticmethod
    async def fail_lifespan(error: Exception, scope: Any, receive: Any, send: Any) -> None:
        """Tell a server that begins a lifespan why there is none.

        Servers take a lifespan that only raises for one that is not supported, and go on without.
        """
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})

    def _remember(self, function: Callable[..., Any], name: str) -> None:
        if self.engine is not None and name in MODEL_CALLS:
            warnings.warn(
                f"self.{name} stays the call of the chute's own model. To call this function, write {name}(self, …), or "
                "give it another name.",
                stacklevel=4,
            )
        known = self.functions.get(name)
        if known is not None and known is not function:
            # The user's line is three frames up: the decorator, and what it adds to the definition, are ours.
            warnings.warn(f"Two functions are named {name!r}: self.{name} is the later one.", stacklevel=4)
        self.functions[name] = function
        namespace = getattr(inspect.unwrap(function), "__globals__", None)
        if namespace is not None and not any(namespace is seen for seen in self.modules):
            self.modules.append(namespace)


def define(config: ChuteConfig) -> Definition:
    """The definition of a chute of which no more is known than its constructor's values.

    Raises:
        DefinitionError: what they say of an engine cannot be.
    """
    definition = Definition(config=config, modules=[caller_globals()])
    if (
        config.model_name is None
        and config.engine == "auto"
        and not config.engine_args
        and not config.engine_python
    ):
        return definition
    # On demand: most chutes serve no model of this kind.
    from chutes.chute.hosted import engine_cords, engine_spec

    definition.engine = engine_spec(config)
    if definition.engine is not None:
        definition.cords.extend(engine_cords(definition.engine))
    return definition


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
