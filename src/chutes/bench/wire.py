"""One TCP connection to a chute, which carries one request at a time and is kept alive."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from chutes.bench.events import EventCounter
from chutes.bench.line import Answer, Done, Problem, WireRequest
from chutes.client.decode import JSON_LINES

__all__ = ["Wire"]

_WANTED = frozenset({b"content-type", b"content-length", b"transfer-encoding", b"retry-after"})
_EVENTS = b"text/event-stream"
_STREAMS = frozenset(name.encode() for name in JSON_LINES) | {_EVENTS}
_LONGEST_EXAMPLE = 2000
_INFORMATIONAL = range(100, 200)


class Wire(asyncio.Protocol):
    """The protocol of one connection, from when it is made until it is lost.

    Attributes:
        usable: whether another request can be sent.
        touched: when the last byte came, or the last request was sent.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._done: Done | None = None
        self._request: WireRequest | None = None
        self.usable = False
        self.touched = 0.0
        self._headers: dict[bytes, bytes]
        self._status: int
        self._size: int
        self._size_before: int
        self._chunks: int
        self._first: float
        self._complete: bool
        self._events: EventCounter | None
        self._kept: bytearray | None
        self._clear()

    @property
    def busy(self) -> bool:
        """Whether a request waits for the end of its answer."""
        return self._done is not None

    def send(self, request: WireRequest, done: Done) -> None:
        """Send a request on a usable wire; see `Line.send`."""
        self._request = request
        self._done = done
        self.touched = self._now()
        cast("asyncio.Transport", self._transport).write(request.data)

    def give_up(self, problem: Problem) -> None:
        """Close the connection; the request on it ends with `problem`."""
        self.close()
        self._finish(problem)

    def close(self) -> None:
        """Close the connection."""
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def forget(self) -> None:
        """Close the connection, and tell nobody how its request ended."""
        self._done = None
        self.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self.usable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.usable = False
        if self._done is None:
            return
        if self._status and not self._has_length and exc is None:
            # Such an answer ends where its connection does.
            self._finish(None)
        elif self._status:
            self._finish(Problem("broke off", "the connection was closed before the answer was whole"))
        else:
            reason = f"the connection was lost before an answer came{f' ({exc})' if exc else ''}"
            self._finish(Problem("no answer", reason))

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.touched = self._now()
        if self._done is None:
            # Nobody asked for it: some servers say 408 before they close a connection that was idle.
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self.give_up(Problem("not HTTP", f"what came is no HTTP answer: {exc}"))
            return
        if self._complete:
            if not self._keeps_alive:
                self.close()
            self._finish(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools."""
        name = name.lower()
        if name in _WANTED:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        """See httptools."""
        if self._complete:
            # An answer that nobody asked for came in one piece with the one before it.
            self._keeps_alive = False
            return
        headers = self._headers
        self._status = self._parser.get_status_code()
        media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        self._has_length = b"content-length" in headers or b"transfer-encoding" in headers
        self._streamed = media in _STREAMS or (
            b"content-length" not in headers and not media.endswith(b"json")
        )
        good = 200 <= self._status < 300  # noqa: PLR2004 - HTTP's successes
        if media == _EVENTS and good:
            self._events = EventCounter()
        request = self._request
        self._kept = None if good and not (request and request.keep) else bytearray()
        if request is not None and request.headless:
            # The parser would wait for the body that this head describes.
            self._parser = httptools.HttpResponseParser(self)
            self._complete = self._keeps_alive = True

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        if self._complete:
            return
        self._size += len(body)
        if self._kept is not None:
            if self._request is not None and (self._request.keep or len(self._kept) < _LONGEST_EXAMPLE):
                self._kept += body
        elif self._events is not None:
            self._chunks += self._events.feed(body)
            if not self._first and self._chunks:
                self._first = self.touched
            return
        if not self._first:
            self._first = self.touched

    def on_chunk_complete(self) -> None:
        """See httptools."""
        # The parser calls the end of the body a chunk too: one of no bytes.
        if self._events is None and self._streamed and self._size > self._size_before:
            self._size_before = self._size
            self._chunks += 1

    def on_message_complete(self) -> None:
        """See httptools."""
        if self._status in _INFORMATIONAL:
            self._clear()
        elif not self._complete:
            # The parser knows it only as long as it has not begun with what comes next.
            self._keeps_alive = self._parser.should_keep_alive()
            self._complete = True

    def _finish(self, problem: Problem | None) -> None:
        done = self._done
        if done is None:
            return
        if problem is None and self._events is not None and self._events.error is not None:
            problem = Problem("error in the stream", self._events.error)
        answer = Answer(
            self._status,
            self._now() if problem else self.touched,
            self._first,
            self._size,
            self._chunks,
            self._streamed and self._size > 0,
            problem,
            self._headers.get(b"retry-after", b"").decode("latin-1"),
            bytes(self._kept) if self._kept is not None else b"",
        )
        self._done = self._request = None
        self._clear()
        done(answer)

    def _clear(self) -> None:
        self._headers = {}
        self._status = self._size = self._size_before = self._chunks = 0
        self._first = 0.0
        self._has_length = self._streamed = self._complete = self._keeps_alive = False
        self._events = self._kept = None
