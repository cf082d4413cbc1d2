"""Comments in a silent stream of events, so that no proxy on its way takes the connection for dead."""

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["COMMENT", "LONGEST_END", "KeepAlive"]

COMMENT = b": keep-alive\n\n"
# LF, CRLF and CR all end a line, and an empty line ends an event.
_LINE_ENDS = (b"\n", b"\r")
_EVENT_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
LONGEST_END = 3
"""Bytes at the end of a text that tell whether an event ends there."""

_LEAST_SECONDS = 0.001


class KeepAlive:
    """Watches one stream, and says something when it was silent for too long.

    A timer looks now and then at when the last part was sent: a stream that is not silent pays for a few assignments.

    Args:
        seconds: of silence until a comment is sent; 0 sends none.
        say: sends it.

    Attributes:
        waiting: the stream waits for its source, not for its client.
        since: when the last part was sent, by `time.perf_counter`.
        tail: the end of the text so far: the author of an event may send it in pieces.
        comment: what sends a comment; None when there was none since the last part.
    """

    __slots__ = ("_say", "_seconds", "_timer", "comment", "since", "tail", "waiting")

    def __init__(self, seconds: float, say: Callable[[], Awaitable[None]]) -> None:
        self.waiting = True
        self.comment: asyncio.Future[None] | None = None
        self._seconds = seconds
        self._say = say
        self.tail = b""
        self.since = time.perf_counter()
        self._timer: asyncio.TimerHandle | None = None
        if seconds:
            self._arm(seconds)

    @property
    def blocked(self) -> bool:
        """Whether the client takes nothing at the moment."""
        return not self.waiting or (self.comment is not None and not self.comment.done())

    def is_at_line_start(self) -> bool:
        """Whether the text so far ends with a whole line."""
        return not self.tail or self.tail.endswith(_LINE_ENDS)

    async def settle(self) -> None:
        """Begin no comment from now on, and wait until one that is on its way has gone out."""
        self.waiting = False
        if self.comment is not None:
            comment, self.comment = self.comment, None
            await comment

    async def stop(self) -> None:
        """Say nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self.comment is not None:
            self.comment.cancel()
            await asyncio.gather(self.comment, return_exceptions=True)
            self.comment = None

    def _arm(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(seconds, _LEAST_SECONDS), self._look)

    def _look(self) -> None:
        rest = self._seconds - (time.perf_counter() - self.since)
        if rest <= 0:
            rest = self._seconds
            if not self.blocked and (not self.tail or self.tail.endswith(_EVENT_ENDS)):
                self.comment = asyncio.ensure_future(self._tell())
        self._arm(rest)

    async def _tell(self) -> None:
        await self._say()
        self.since = time.perf_counter()
