"""Startup, readiness, draining and shutdown of one chute in one process."""

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from chutes.chute.hooks import Hook
from chutes.errors import EngineError, ModelError, StartupError
from chutes.serve.threads import Threads
from chutes.tracebacks import format_user_traceback

if TYPE_CHECKING:
    from chutes.chute.chute import Chute
    from chutes.serve.engine import ServedEngine

__all__ = ["Lifecycle", "State"]

_LAST_TASKS_SECONDS = 2.0


class State(Enum):
    """Where a chute stands."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Lifecycle:
    """Runs the hooks, and watches the background tasks that startup hooks leave behind.

    Args:
        chute: passed to each hook.
        startup: the startup hooks in order, asked for when they are about to run.
        shutdown: the shutdown hooks in order, likewise.
        application: the lifespan of the FastAPI application; it is inside the hooks.
        setting: called before the hooks; what it returns undoes what they changed, after the last of them.
        warm_up: called when all of that has started, before requests are answered.
        threads: where synchronous hooks run.
        engine: started before the hooks, stopped after the last of them; None where there is none.
    """

    def __init__(
        self,
        chute: "Chute",
        *,
        startup: Callable[[], Iterable[Hook]],
        shutdown: Callable[[], Iterable[Hook]],
        application: Callable[[], contextlib.AbstractAsyncContextManager[Mapping[str, Any]]],
        setting: Callable[[], Callable[[], None]],
        warm_up: Callable[[], Awaitable[None]],
        threads: Threads,
        engine: "ServedEngine | None" = None,
    ) -> None:
        self.state = State.NEW
        self.starts = 0
        self._draining_since: float | None = None
        self.crashed: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self._chute = chute
        self._startup = startup
        self._shutdown = shutdown
        self._application = application
        self._setting = setting
        self._warm_up = warm_up
        self._undo: Callable[[], None] = _nothing
        self._threads = threads
        self._tasks: set[asyncio.Task[Any]] = set()
        self._engine = engine
        self._around = contextlib.AsyncExitStack()
        self._open = contextlib.AsyncExitStack()
        self._logger = logging.getLogger("chutes.serve")

    @property
    def accepts(self) -> bool:
        """Whether requests are answered."""
        return self.state in (State.READY, State.DRAINING)

    @property
    def has_hooks(self) -> bool:
        """Whether anything has to run before the first request."""
        return self._engine is not None or bool(list(self._startup()))

    async def start(self) -> None:
        """Run the startup hooks, enter the application's lifespan, make the warm-up calls.

        Raises:
            StartupError: one of them failed, or the engine; the exception is the cause. What had started is stopped again.
        """
        self.state = State.STARTING
        self.starts += 1
        self._draining_since = None
        self.crashed.clear()
        self._undo = self._setting()
        hook: Hook | None = None
        try:
            if self._engine is not None:
                await self._around.enter_async_context(self._engine.running())
            with self._watching_tasks():
                for hook in self._startup():
                    await self._run(hook)
            hook = None
            self.values = dict(await self._open.enter_async_context(self._application()))
        except BaseException as error:
            self.state = State.FAILED
            await self._cancel_tasks()
            self._threads.shutdown()
            await self._around.aclose()
            self._undo()
            # A hook that calls sys.exit has failed too: ended with its 0, the process would not be started again.
            if isinstance(error, StartupError) or not isinstance(error, Exception | SystemExit):
                raise
            where = f"The startup hook {hook.name!r}" if hook else "The application's lifespan"
            raise StartupError(f"{where} failed: {type(error).__name__}: {error}") from error
        try:
            await self._warm_up()
        except BaseException:
            # Everything has started: it all gets its chance to end.
            self.state = State.FAILED
            await self._wind_down()
            raise
        self.state = State.READY

    @property
    def grace_left(self) -> float:
        """Seconds of the grace period that are left; all of them until the draining begins."""
        grace = self._chute.config.shutdown_grace
        return (
            grace
            if self._draining_since is None
            else max(0.0, grace - (time.monotonic() - self._draining_since))
        )

    def drain(self) -> None:
        """Tell probes that this process is about to stop."""
        if self.state is State.READY:
            self.state = State.DRAINING
            self._draining_since = time.monotonic()

    async def stop(self) -> None:
        """Leave the application's lifespan, run the shutdown hooks, cancel the background tasks.

        A hook that fails is logged; the others run all the same.
        """
        if self.state in (State.NEW, State.STOPPED, State.FAILED):
            return
        self.state = State.STOPPED
        await self._wind_down()

    async def _wind_down(self) -> None:
        try:
            await self._open.aclose()
        except Exception:
            self._logger.exception("The application's lifespan failed at shutdown.")
        for hook in self._shutdown():
            try:
                await self._run(hook)
            except (Exception, SystemExit):
                self._logger.exception("The shutdown hook %r failed.", hook.name)
        await self._cancel_tasks()
        self._threads.shutdown()
        await self._around.aclose()
        self._undo()

    async def lifespan(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI's lifespan protocol with a server that is not ours."""
        await receive()
        try:
            await self.start()
        except StartupError as error:
            # Servers log the message alone.
            told = error.__cause__ is None or isinstance(error.__cause__, EngineError | ModelError)
            text = str(error) if told else f"{error}\n{format_user_traceback(error.__cause__ or error)}"
            await send({"type": "lifespan.startup.failed", "message": text})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.drain()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _run(self, hook: Hook) -> None:
        function = hook.function
        if inspect.iscoroutinefunction(function):
            await function(self._chute)
            return
        result = await self._threads.run(function, self._chute)
        if inspect.isawaitable(result):
            await result

    @contextlib.contextmanager
    def _watching_tasks(self) -> Iterator[None]:
        """Remember the tasks that the hooks themselves make: those alive afterwards are background tasks."""
        loop, hooks_run_in = asyncio.get_running_loop(), asyncio.current_task()
        former = loop.get_task_factory()
        made: list[Any] = []

        def factory(on: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
            task = former(on, coroutine, **options) if former else asyncio.Task(coroutine, loop=on, **options)
            # A task's own sub-tasks are its own business: what it awaits of them reaches it.
            if asyncio.current_task() is hooks_run_in:
                made.append(task)
            return task

        loop.set_task_factory(factory)
        try:
            yield
        finally:
            loop.set_task_factory(former)
            for task in made:
                self._keep(task)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        # asyncio's own mark of an error that nobody has asked for: one that the hook awaited is its business.
        if task.done() and not getattr(task, "_log_traceback", False):
            return
        name = _name(task)
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(name, ended))

    def _ended(self, name: str, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        error = task.exception()
        self.crashed[name] = type(error).__name__
        self._logger.error(
            "The background task %r crashed; /health is unhealthy from now on.", name, exc_info=error
        )

    async def _cancel_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        # One that swallows its cancellation would hold the process for ever.
        _, left = await asyncio.wait(tasks, timeout=_LAST_TASKS_SECONDS) if tasks else ((), ())
        for task in left:
            self._logger.warning("The background task %r goes on though it was cancelled.", _name(task))


def _name(task: asyncio.Task[Any]) -> str:
    """The name that its author gave, else that of its coroutine function."""
    given = task.get_name()
    # Python 3.13 names a task of a task factory "None" where its author gives no name.
    unnamed = given == "None" or given.startswith("Task-")
    return getattr(task.get_coro(), "__name__", given) if unnamed else given


def _nothing() -> None:
    """What there is to undo before the first start."""
