"""A stream of values → the chunks of one HTTP response."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from chutes.serve.chunks import content_type_of, encoder, is_event_stream
from chutes.serve.delivery import Delivery
from chutes.serve.disconnects import CLIENT_CLOSED_REQUEST, ClientGone, Disconnects
from chutes.serve.exchange import Exchange, exchange_of, shown_path
from chutes.serve.failures import log_failure, wants_errors
from chutes.serve.spans import record_error
from chutes.serve.threads import Threads

__all__ = ["StreamAborted", "StreamReply", "is_stream", "stream_reply"]

_TURN_SECONDS = 0.001
# As many passes of the loop lie between the end of a connection and the cancellation of its stream.
_TURN_PASSES = 4
_NOTHING = object()


class StreamAborted(Exception):  # noqa: N818 - named for the condition
    """A stream broke after its first chunk; the connection is cut so that the client notices."""


def is_stream(result: Any, *, asked: bool) -> bool:
    """Whether a cord's result is sent chunk by chunk; a synchronous iterator only where a stream was asked for."""
    if isinstance(result, StreamingResponse):
        # A subclass that sends in a way of its own knows best.
        return type(result).__call__ is StreamingResponse.__call__
    return isinstance(result, AsyncIterator) or (asked and isinstance(result, Iterator))


def stream_reply(
    result: Any,
    *,
    content_type: str | None,
    empty_type: str,
    injected: Response,
    threads: Threads,
    status_code: int,
) -> "StreamReply":
    """The response for a stream; nothing was taken from the source yet.

    Args:
        result: what the cord returned.
        content_type: the stream's; None leaves it to the first chunk.
        empty_type: the content type of a stream without chunks.
        injected: its headers go into the answer.
        threads: where a synchronous iterator makes its chunks.
        status_code: the answer's.
    """
    if isinstance(result, StreamingResponse):
        reply = StreamReply(aiter(result.body_iterator), status_code=result.status_code)
        reply.become(result.headers.get("content-type", "application/octet-stream"))
        reply.take_over(result)
        return reply
    chunks = result if isinstance(result, AsyncIterator) else threads.iterate(result)
    reply = StreamReply(chunks, status_code=status_code, empty_type=empty_type, injected=injected)
    if content_type is not None:
        reply.become(content_type)
    return reply


class StreamReply(Response):
    """A response that is sent while it is made.

    An exception before the first chunk is an ordinary one. Later one in a stream of events is sent as `event: error`,
    and the stream ends; in any other stream the connection is cut. When the client leaves, the source is closed at once.

    Args:
        chunks: the source.
        status_code: the answer's.
        empty_type: the content type of a stream without chunks.
        injected: its headers go into the answer, and its status when it has one.

    Attributes:
        is_events: the stream is one of server-sent events; of an unknown one the first chunk tells.
        watch: what notices that the client leaves; None lets the stream go on to its end.
        deadline: when the stream is ended, on the clock of the event loop; None sets no limit.
        timeout: the seconds that the deadline stands for.
        keep_alive: seconds of silence after which a stream of events gets a comment; 0 sends none.
        advise: told the first chunk of a stream whose type that chunk decides.
    """

    def __init__(
        self,
        chunks: AsyncIterator[Any],
        *,
        status_code: int,
        empty_type: str = "text/plain",
        injected: Response | None = None,
    ) -> None:
        self.status_code = status_code
        self.background: BackgroundTask | None = None
        self.body = b""
        self.media_type: str | None = None
        self.is_events = False
        self.watch: Disconnects | None = None
        self.deadline: float | None = None
        self.timeout: float | None = None
        self.keep_alive = 0.0
        self.advise: Callable[[Any], None] | None = None
        self.logger = logging.getLogger("chutes.serve")
        self._encode: Callable[[Any], bytes] = bytes
        self._chunks = chunks
        self._empty_type = empty_type
        self._injected = injected
        self._closing: asyncio.Future[None] | None = None
        self.raw_headers: list[tuple[bytes, bytes]] = []

    def become(self, content_type: str) -> None:
        """Settle what the stream is."""
        self.media_type = content_type
        self.is_events = is_event_stream(content_type)
        self._encode = encoder(content_type)
        self.init_headers(
            {"cache-control": "no-cache", "x-accel-buffering": "no"} if self.is_events else None
        )
        del self.headers["content-length"]

    def take_over(self, response: StreamingResponse) -> None:
        """Send what the author of a Starlette response wrote: its headers, and text without any framing."""
        encode = self._encode
        self.raw_headers = list(response.raw_headers)
        self.background = response.background
        self._encode = lambda chunk: (
            chunk.encode(response.charset) if isinstance(chunk, str) else encode(chunk)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send every chunk as it comes; close the source in any case."""
        delivery = Delivery(exchange_of(scope), send, self._head)
        try:
            async with self.watch.cancelling() if self.watch is not None else contextlib.nullcontext():
                await self._deliver(delivery, scope)
        except ClientGone:
            self._note_gone(delivery, scope)
            if not delivery.begun:
                await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
                return
        finally:
            await delivery.stop()
            if self._closing is None:
                await self._close()
        if self.background is not None:
            await self.background()

    def _head(self) -> Message:
        status, headers = self.status_code, self.raw_headers
        if self._injected is not None:
            status = self._injected.status_code or status
            headers = [*headers, *self._injected.headers.raw]
        return {"type": "http.response.start", "status": status, "headers": headers}

    async def _deliver(self, delivery: Delivery, scope: Scope) -> None:
        limit = asyncio.timeout_at(self.deadline)
        try:
            async with limit:
                await self._send_chunks(delivery, limit)
        except ClientGone:
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                await self._end_overdue(delivery, scope)
            elif not delivery.begun:
                raise
            else:
                await self._fail(error, delivery, scope)
        await delivery.end()

    async def _send_chunks(self, delivery: Delivery, limit: asyncio.Timeout) -> None:
        if self.is_events:
            # What is known to be a stream of events may be silent before its first chunk, too.
            delivery.fill_silences(self.keep_alive)
        chunks = self._chunks
        first = await anext(chunks, _NOTHING)
        self._check(limit)
        if self.media_type is None:
            self.become(self._empty_type if first is _NOTHING else content_type_of(first))
            if self.advise is not None:
                self.advise(first)
            if self.is_events:
                delivery.fill_silences(self.keep_alive)
        if first is _NOTHING:
            return
        await delivery.first(self._encode(first))
        await self._send_rest(delivery, limit)

    async def _send_rest(self, delivery: Delivery, limit: asyncio.Timeout) -> None:
        encode, send, alive, clock = self._encode, delivery.part, delivery.alive, time.perf_counter
        at_once = delivery.at_once
        watch, has_deadline, turn = self.watch, self.deadline is not None, clock()
        async for chunk in self._chunks:
            if has_deadline or (watch is not None and watch.gone):
                self._check(limit)
            body = encode(chunk)
            if not at_once(body):
                await send(body)
            now = clock()
            if alive is not None:
                alive.since = now
            if now - turn > _TURN_SECONDS:
                # A generator that never waits would keep the loop to itself, even once its client has left.
                for _ in range(_TURN_PASSES):
                    await asyncio.sleep(0)
                turn = clock()

    def _check(self, limit: asyncio.Timeout) -> None:
        """Stop a generator that swallowed its cancellation."""
        if self.watch is not None and self.watch.gone:
            raise ClientGone
        if self.deadline is not None and limit.expired():
            raise TimeoutError

    async def _fail(self, error: Exception, delivery: Delivery, scope: Scope) -> None:
        log_failure(self.logger, f"The stream of {scope['method']} {shown_path(scope)} failed", error)
        if not self.is_events:
            raise StreamAborted from error
        await delivery.report(error)
        if wants_errors(scope):
            raise error

    async def _end_overdue(self, delivery: Delivery, scope: Scope) -> None:
        """End a stream at its deadline."""
        exchange = exchange_of(scope)
        text = f"The call took more than its timeout of {self.timeout:g} s."
        self.logger.warning("The stream of %s %s was ended: %s", scope["method"], shown_path(scope), text)
        if exchange.meter is not None:
            exchange.meter.timeouts += 1
        self._close_aside(exchange)
        error = HTTPException(HTTPStatus.GATEWAY_TIMEOUT, text)
        record_error(error)
        if not delivery.begun:
            raise error from None
        if not self.is_events or delivery.blocked:
            # A client that takes nothing would keep even the last event waiting.
            raise StreamAborted from error
        await delivery.report(error)

    def _close_aside(self, exchange: Exchange) -> None:
        """Close the source while the client is answered: a thread cannot be stopped. It keeps its slot until then."""
        place, exchange.place = exchange.place, None

        def closed(done: "asyncio.Future[None]") -> None:
            if place is not None:
                place.leave()
            if not done.cancelled() and (error := done.exception()) is not None:
                log_failure(self.logger, "A stream failed while it was closed", error)

        self._closing = asyncio.ensure_future(self._close())
        self._closing.add_done_callback(closed)

    def _note_gone(self, delivery: Delivery, scope: Scope) -> None:
        meter = exchange_of(scope).meter
        if meter is not None:
            meter.cancelled += 1
        when = "in mid-stream" if delivery.begun else "before its answer"
        self.logger.info("The client left %s %s %s.", scope["method"], shown_path(scope), when)

    async def _close(self) -> None:
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
