"""One stream on its way to its client: the head of the answer, its parts, its end."""

import time
from collections.abc import Callable

from starlette.types import Message, Send

from chutes.serve.chunks import error_event
from chutes.serve.exchange import Exchange
from chutes.serve.keep_alive import COMMENT, KeepAlive

__all__ = ["Delivery"]


class Delivery:
    """Sends a stream part by part.

    Args:
        exchange: the request's.
        send: the application's.
        head: makes the message that begins the answer.

    Attributes:
        begun: the answer has begun: its status can no longer be changed.
    """

    __slots__ = ("_alive", "_exchange", "_head", "_meter", "_send", "begun")

    def __init__(self, exchange: Exchange, send: Send, head: Callable[[], Message]) -> None:
        self.begun = False
        self._exchange = exchange
        self._meter = exchange.meter
        self._send = send
        self._head = head
        self._alive: KeepAlive | None = None
        exchange.answering = False

    @property
    def blocked(self) -> bool:
        """Whether a part waits for a client that takes nothing."""
        return self._alive is not None and self._alive.blocked

    def fill_silences(self, seconds: float) -> None:
        """Send comments in silences of so many seconds, from now on: it is a stream of events."""
        self._alive = KeepAlive(seconds, self._say)

    async def first(self, body: bytes) -> None:
        """Send the first bytes."""
        await self.part(body)
        if self._meter is not None:
            self._meter.first_chunk(time.perf_counter() - self._exchange.since)

    async def part(self, body: bytes) -> None:
        """Send some bytes, and the head before the first of them."""
        alive = self._alive
        if alive is None:
            await self._part(body)
            return
        alive.waiting = False
        if alive.comment is not None:
            await alive.settle()
        await self._part(body)
        alive.note(body)

    async def report(self, error: Exception) -> None:
        """Send an error as the last event."""
        request_id = self._exchange.request_id or None
        line_end = b"" if self._alive is None or self._alive.is_at_line_start() else b"\n"
        await self.part(line_end + error_event(error, request_id))

    async def end(self) -> None:
        """Send the end."""
        if self._alive is not None:
            await self._alive.settle()
            await self._alive.stop()
        if not self.begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def stop(self) -> None:
        """Send nothing any more."""
        if self._alive is not None:
            await self._alive.stop()

    async def _part(self, body: bytes) -> None:
        if not self.begun:
            await self._begin()
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            if self._meter is not None:
                self._meter.chunks += 1

    async def _begin(self) -> None:
        self.begun = self._exchange.answering = True
        await self._send(self._head())

    async def _say(self) -> None:
        if not self.begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
