"""Notice that a client left, and stop the work that was for it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive

__all__ = ["CLIENT_CLOSED_REQUEST", "Cancelling", "ClientGone", "Disconnects", "Gone"]

CLIENT_CLOSED_REQUEST = 499
"""What nginx logs for a client that left; it is counted, and never received."""

_PATIENCE = 0.005
_LONG_SECONDS = 5.0


class ClientGone(Exception):  # noqa: N818 - named for the condition
    """The client left, and the work was cancelled because of it."""


class Gone:
    """A server that says by itself that a client has left."""

    __slots__ = ()

    def watch(self, on_gone: Callable[[], None]) -> bool:
        """Call back when the client leaves; False when this cannot be told, as with a body that is not read yet."""
        raise NotImplementedError

    def watch_no_more(self) -> None:
        """Call nobody back."""
        raise NotImplementedError


class Disconnects:
    """One request's `receive`, which can be read ahead to learn whether the client is still there.

    Args:
        receive: the server's own.
        server: tells by itself that the client has left; None where nothing does.

    Attributes:
        gone: the client is known to have left.
        told: the work was told so where it read the body, and ends by itself: a cancellation on top of that would meet
            it while it cleans up.
    """

    __slots__ = ("_ahead", "_lock", "_receive", "gone", "server", "told")

    def __init__(self, receive: Receive, server: Gone | None = None) -> None:
        self._receive = receive
        self.server = server
        self._ahead: deque[Message] = deque()
        self._lock: asyncio.Lock | None = None
        self.gone = False
        self.told = False

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

    def cancelling(self) -> "Cancelling":
        """Around a block: cancels it when the client leaves.

        Raises:
            ClientGone: the client left before the block was done.
        """
        return Cancelling(self)

    async def until_gone(self) -> None:
        """Read ahead until the client leaves.

        Raises:
            HTTPException: the body is too large.
        """
        while not self.gone:
            async with self._reading:
                message = self._noticed(await self._receive())
            self._ahead.append(message)

    def _noticed(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self.gone = True
        return message


class Cancelling:
    """Around a block: cancels it when the client leaves.

    Args:
        disconnects: the request's.
    """

    __slots__ = ("_disconnects", "_loop", "_over", "_server", "_task", "_timer", "_warning", "_watcher")

    def __init__(self, disconnects: Disconnects) -> None:
        self._disconnects = disconnects
        self._over = False
        self._server: Gone | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._warning: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        """Begin; most calls are over before the timer, and pay for no task."""
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        server = self._disconnects.server
        if server is not None and server.watch(self._on_gone):
            self._server = server
        else:
            self._timer = self._loop.call_later(_PATIENCE, self._arm)

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """End.

        Raises:
            ClientGone: the block was cancelled because the client left, and by nobody else.
        """
        self._over = True
        if self._server is not None:
            self._server.watch_no_more()
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._warning is None or self._task is None:
            return
        self._warning.cancel()
        if self._task.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            raise ClientGone from None

    def _arm(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        try:
            await self._disconnects.until_gone()
        except HTTPException:
            # The body is too large: whoever reads it is told so.
            return
        self._on_gone()

    def _on_gone(self) -> None:
        if self._task is not None and not self._over and not self._disconnects.told:
            self._disconnects.gone = True
            self._warning = self._loop.call_later(_LONG_SECONDS, _say_that_it_goes_on)
            self._task.cancel()


def _say_that_it_goes_on() -> None:
    logging.getLogger("chutes.serve").warning(
        "A call goes on %g s after its client left: its code keeps its CancelledError, or cleans up for long. "
        "It holds its slot until then.",
        _LONG_SECONDS,
    )
