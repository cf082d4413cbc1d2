"""One stream on its way to its client: the head of the answer, its parts, its end."""

import time
from collections.abc import Callable

from starlette.types import Message, Send

from chutes.serve.chunks import error_event
from chutes.serve.exchange import Exchange
from chutes.serve.keep_alive import COMMENT, LONGEST_END, KeepAlive

__all__ = ["Delivery"]


class Delivery:
    """Sends a stream part by part.

    Args:
        exchange: the request's.
        send: the application's.
        head: makes the message that begins the answer.

    Attributes:
        begun: the answer has begun: its status can no longer be changed.
        alive: what fills silences; None in a stream that is none of events.
    """

    __slots__ = ("_exchange", "_head", "_meter", "_put", "_send", "_wire", "alive", "begun")

    def __init__(self, exchange: Exchange, send: Send, head: Callable[[], Message]) -> None:
        self.begun = False
        self._exchange = exchange
        self._meter = exchange.meter
        self._send = send
        self._head = head
        # Nobody between here and the server looks at a part that is not the last.
        self._put = exchange.send if exchange.direct else send
        self._wire = exchange.wire if exchange.direct else None
        self.alive: KeepAlive | None = None
        exchange.answering = False

    @property
    def blocked(self) -> bool:
        """Whether a part waits for a client that takes nothing."""
        return self.alive is not None and self.alive.blocked

    def fill_silences(self, seconds: float) -> None:
        """Send comments in silences of so many seconds, from now on: it is a stream of events."""
        self.alive = KeepAlive(seconds, self._say)

    async def first(self, body: bytes) -> None:
        """Send the head and the first bytes."""
        if self.alive is not None:
            await self.alive.settle()
        if not self.begun:
            await self._begin()
        await self.part(body)
        if self._wire is not None:
            # The client waits for this one; of those that follow a few may come together.
            self._wire.flush()
        now = time.perf_counter()
        if self.alive is not None:
            self.alive.waiting, self.alive.since = True, now
        if self._meter is not None:
            self._meter.first_chunk(now - self._exchange.since)

    def at_once(self, body: bytes) -> bool:
        """Send some more bytes without a wait for anything; says whether it did."""
        wire, alive = self._wire, self.alive
        if wire is None or not body or (alive is not None and alive.comment is not None):
            return False
        if not wire.part(body):
            return False
        if alive is not None:
            alive.tail = body if len(body) >= LONGEST_END else alive.tail[-LONGEST_END:] + body
        if self._meter is not None:
            self._meter.chunks += 1
        return True

    async def part(self, body: bytes) -> None:
        """Send some more bytes."""
        if not body:
            return
        alive = self.alive
        if alive is not None:
            alive.waiting = False
            if alive.comment is not None:
                await alive.settle()
            alive.tail = body if len(body) >= LONGEST_END else alive.tail[-LONGEST_END:] + body
        await self._put({"type": "http.response.body", "body": body, "more_body": True})
        if alive is not None:
            alive.waiting = True
        if self._meter is not None:
            self._meter.chunks += 1

    async def report(self, error: Exception) -> None:
        """Send an error as the last event."""
        request_id = self._exchange.request_id or None
        line_end = b"" if self.alive is None or self.alive.is_at_line_start() else b"\n"
        await self.part(line_end + error_event(error, request_id))

    async def end(self) -> None:
        """Send the end."""
        if self.alive is not None:
            await self.alive.settle()
            await self.alive.stop()
        if not self.begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def stop(self) -> None:
        """Send nothing any more."""
        if self._wire is not None:
            self._wire.flush()
        if self.alive is not None:
            await self.alive.stop()

    async def _begin(self) -> None:
        self.begun = self._exchange.answering = True
        await self._send(self._head())

    async def _say(self) -> None:
        if not self.begun:
            await self._begin()
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
