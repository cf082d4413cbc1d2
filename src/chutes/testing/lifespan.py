"""Startup and shutdown of an application under test: the lifespan protocol, from the server's side."""

import asyncio
from contextvars import Context
from typing import Any

from starlette.types import ASGIApp, Message

from chutes.errors import ShutdownError, StartupError

__all__ = ["Lifespan"]

# Time for the application to return, or raise, once it has reported how a stage ended.
_RETURN_GRACE = 1.0


class Lifespan:
    """Starts and stops an application; one that knows no lifespan protocol is served without.

    Args:
        application: any ASGI application.
        timeout: seconds that startup may take, and shutdown again; None sets no limit.

    Attributes:
        state: what startup put into the scope's `state`.
    """

    def __init__(self, application: ASGIApp, timeout: float | None) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._foreign = False
        self._failure: str | None = None
        self._error: BaseException | None = None
        self._ending = False
        self._started = asyncio.Event()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()

    async def startup(self, context: Context) -> None:
        """Start the application, in `context`.

        Raises:
            StartupError: the application reported a failure without raising, or took too long.
            BaseException: whatever the application raised, such as a startup hook's own exception.
        """
        self._task = asyncio.get_running_loop().create_task(self._run(), context=context)
        try:
            async with asyncio.timeout(self._timeout):
                await self._started.wait()
        except TimeoutError:
            await self._end()
            raise StartupError(
                f"Startup took more than {self._timeout} s. Pass a longer lifespan_timeout=."
            ) from None
        except asyncio.CancelledError:
            await self._end()
            raise
        if self._failed():
            await self._end(_RETURN_GRACE)
            raise self._cause() or StartupError(
                self._failure or "The application reported that its startup failed."
            )

    async def shutdown(self) -> None:
        """Stop the application.

        Raises:
            ShutdownError: the application reported a failure without raising, or took too long.
            BaseException: whatever the application raised, such as a shutdown hook's own exception.
        """
        self._stopping.set()
        try:
            async with asyncio.timeout(self._timeout):
                await self._stopped.wait()
        except TimeoutError:
            await self._end()
            raise ShutdownError(
                f"Shutdown took more than {self._timeout} s. Pass a longer lifespan_timeout=."
            ) from None
        await self._end(_RETURN_GRACE)
        if self._failed():
            raise self._cause() or ShutdownError(
                self._failure or "The application reported that its shutdown failed."
            )

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._receive, self._send)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a server's edge: startup() and shutdown() raise it again
            if not self._ending:
                self._error = error
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        match message["type"]:
            case "lifespan.startup.complete":
                self._started.set()
            case "lifespan.shutdown.complete":
                self._stopped.set()
            case "lifespan.startup.failed" | "lifespan.shutdown.failed":
                self._failure = message.get("message", "")
                self._started.set()
                self._stopped.set()
            case other:
                self._foreign = True
                raise RuntimeError(f"Unexpected message {other!r} in the lifespan protocol.")

    def _failed(self) -> bool:
        # Whoever raises before asking what to do, or answers in another protocol, knows no lifespan.
        knows_lifespan = self._asked and not self._foreign
        return self._failure is not None or (self._error is not None and knows_lifespan)

    def _cause(self) -> BaseException | None:
        error = self._error
        if isinstance(error, StartupError | ShutdownError) and error.__cause__ is not None:
            return error.__cause__
        return None if isinstance(error, asyncio.CancelledError) else error

    async def _end(self, grace: float = 0.0) -> None:
        """Let the application return, for `grace` seconds, then cancel it."""
        if self._task is None:
            return
        if grace:
            await asyncio.wait({self._task}, timeout=grace)
        self._ending = True
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=_RETURN_GRACE)
