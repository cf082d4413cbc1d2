"""Notice that a client left, and stop the work that was for it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

__all__ = ["CLIENT_CLOSED_REQUEST", "ClientGone", "Disconnects"]

CLIENT_CLOSED_REQUEST = 499
"""What nginx logs for a client that left; it is counted, and never received."""

_PATIENCE = 0.005
_LONG_SECONDS = 5.0


class ClientGone(Exception):  # noqa: N818 - named for the condition
    """The client left, and the work was cancelled because of it."""


class Disconnects:
    """One request's `receive`, which can be read ahead to learn whether the client is still there.

    Args:
        receive: the server's own.
    """

    __slots__ = ("_ahead", "_lock", "_receive", "gone")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[Message] = deque()
        self._lock: asyncio.Lock | None = None
        self.gone = False

    @property
    def _reading(self) -> asyncio.Lock:
        # Made when it is needed: most requests never read ahead.
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock

    async def receive(self) -> Message:
        """The next message: those read ahead first."""
        if self._ahead:
            return self._ahead.popleft()
        async with self._reading:
            if self._ahead:
                return self._ahead.popleft()
            return self._noticed(await self._receive())

    @asynccontextmanager
    async def cancelling(self) -> AsyncIterator[None]:
        """Cancel the block when the client leaves.

        Raises:
            ClientGone: the client left before the block was done.
        """
        task = asyncio.current_task()
        if task is None:  # pragma: no cover - every coroutine of a server runs in a task
            raise RuntimeError("No task is running.")
        watcher: asyncio.Task[None] | None = None
        cancelled = False

        async def watch() -> None:
            nonlocal cancelled
            try:
                while not self.gone:
                    async with self._reading:
                        message = self._noticed(await self._receive())
                    self._ahead.append(message)
            except HTTPException:
                # The body is too large: whoever reads it is told so.
                return
            if not closing:
                cancelled = True
                task.cancel()

        def arm() -> None:
            nonlocal watcher
            watcher = asyncio.create_task(watch())

        closing = False
        # Most calls are over before the timer: they pay for no task.
        timer = asyncio.get_running_loop().call_later(_PATIENCE, arm)
        try:
            yield
        except asyncio.CancelledError:
            if cancelled and task.uncancel() == 0:
                raise ClientGone from None
            raise
        finally:
            closing = True
            timer.cancel()
            if watcher is not None:
                watcher.cancel()

    def _noticed(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self.gone = True
        return message
