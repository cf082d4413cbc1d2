"""A stream of values → the chunks of one HTTP response."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from chutes.serve.answers import encode_json
from chutes.serve.disconnects import ClientGone, Disconnects
from chutes.serve.exchange import exchange_of, shown_path
from chutes.serve.failures import log_failure, wants_errors
from chutes.serve.threads import Threads

__all__ = ["StreamAborted", "StreamReply", "framed_event", "is_stream", "open_stream"]

EVENT_STREAM = "text/event-stream"
_TURN_SECONDS = 0.001
_JSON_LINES = ("application/jsonl", "application/x-ndjson", "application/ndjson", "application/json-lines")
_NOTHING = object()
_EVENT_FIELDS = ("data:", "event:", "id:", "retry:")


class StreamAborted(Exception):  # noqa: N818 - named for the condition
    """A stream broke after its first chunk; the connection is cut so that the client notices."""


def is_stream(result: Any, *, asked: bool) -> bool:
    """Whether a cord's result is sent chunk by chunk; a synchronous iterator only where a stream was asked for."""
    if isinstance(result, StreamingResponse):
        # A subclass that sends in a way of its own knows best.
        return type(result).__call__ is StreamingResponse.__call__
    return isinstance(result, AsyncIterator) or (asked and isinstance(result, Iterator))


async def open_stream(
    result: Any,
    *,
    content_type: str | None,
    empty_type: str,
    injected: Response,
    threads: Threads,
    status_code: int,
) -> "StreamReply":
    """Take the first chunk, and with it the content type; an error until then is an ordinary one.

    Args:
        result: what the cord returned.
        content_type: the stream's; None leaves it to the first chunk.
        empty_type: the content type of a stream without chunks.
        injected: its headers go into the answer.
        threads: where a synchronous iterator makes its chunks.
        status_code: the answer's.
    """
    if isinstance(result, StreamingResponse):
        chunks: AsyncIterator[Any] = aiter(result.body_iterator)
        content_type, status_code = (
            result.headers.get("content-type", "application/octet-stream"),
            result.status_code,
        )
    else:
        chunks = result if isinstance(result, AsyncIterator) else threads.iterate(result)
    try:
        first = await anext(chunks, _NOTHING)
        found = empty_type if first is _NOTHING else _content_type_of(first)
        reply = StreamReply(chunks, content_type=content_type or found, status_code=status_code)
        if isinstance(result, StreamingResponse):
            reply.take_over(result)
        else:
            reply.headers.raw.extend(injected.headers.raw)
        if first is not _NOTHING:
            reply.first = reply.encode(first)
    except BaseException:
        await _close(chunks)
        raise
    return reply


class StreamReply(Response):
    """A response that is sent while it is made.

    An exception in a stream of events is sent as `event: error`, and the stream ends; in any other stream the
    connection is cut. When the client leaves, the source is closed at once.
    """

    def __init__(self, chunks: AsyncIterator[Any], *, content_type: str, status_code: int = 200) -> None:
        self.status_code = status_code
        self.background: BackgroundTask | None = None
        self.body = b""
        self.is_events = content_type.partition(";")[0].strip().lower() == EVENT_STREAM
        self.watch: Disconnects | None = None
        self.logger = logging.getLogger("chutes.serve")
        self.encode = _encoder(content_type)
        self.first = b""
        self._chunks = chunks
        self.media_type = content_type
        self.init_headers(
            {"cache-control": "no-cache", "x-accel-buffering": "no"} if self.is_events else None
        )
        del self.headers["content-length"]

    def take_over(self, response: StreamingResponse) -> None:
        """Send what the author of a Starlette response wrote: its headers, and text without any framing."""
        encode = self.encode
        self.raw_headers = list(response.raw_headers)
        self.background = response.background
        self.encode = lambda chunk: (
            chunk.encode(response.charset) if isinstance(chunk, str) else encode(chunk)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send every chunk as it comes; close the source in any case."""
        try:
            async with self.watch.cancelling() if self.watch is not None else contextlib.nullcontext():
                await self._send_all(scope, send)
        except ClientGone:
            meter = exchange_of(scope).meter
            if meter is not None:
                meter.cancelled += 1
            self.logger.info("The client left %s %s in mid-stream.", scope["method"], shown_path(scope))
        finally:
            await _close(self._chunks)
        if self.background is not None:
            await self.background()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._send_chunk(self.first, send)
            turn = time.perf_counter()
            async for chunk in self._chunks:
                await self._send_chunk(self.encode(chunk), send)
                if time.perf_counter() - turn > _TURN_SECONDS:
                    # A generator that never waits would keep the loop to itself, even once its client has left.
                    await asyncio.sleep(0)
                    turn = time.perf_counter()
        except Exception as error:
            log_failure(self.logger, f"The stream of {scope['method']} {shown_path(scope)} failed", error)
            if not self.is_events:
                raise StreamAborted from error
            await send({"type": "http.response.body", "body": _error_event(error, scope), "more_body": True})
            if wants_errors(scope):
                raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_chunk(self, body: bytes, send: Send) -> None:
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})


def framed_event(text: str) -> str:
    """One server-sent event with `text` as its data; text that already is an event stays as it is.

    The format is that of the HTML standard, section 9.2 (server-sent events).
    """
    # A lone ":" may be an empty comment, but a language model says it too.
    is_comment = text.startswith(":") and text.endswith("\n\n") and text.strip() != ":"
    if is_comment or (text.startswith(_EVENT_FIELDS) and text.endswith("\n")):
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines) + "\n"


def _encoder(content_type: str) -> Callable[[Any], bytes]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == EVENT_STREAM:
        return _event_bytes
    if media_type in _JSON_LINES:
        return lambda chunk: chunk if isinstance(chunk, bytes) else _text_or_json(chunk, end=b"\n")
    return lambda chunk: (
        bytes(chunk) if isinstance(chunk, bytes | bytearray | memoryview) else _text_or_json(chunk)
    )


def _event_bytes(chunk: Any) -> bytes:
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    if isinstance(chunk, str):
        return framed_event(chunk).encode(errors="replace")
    if type(chunk).__name__ == "ServerSentEvent":
        return _fastapi_event(chunk)
    return b"data: " + encode_json(chunk) + b"\n\n"


def _fastapi_event(event: Any) -> bytes:
    from fastapi.sse import format_sse_event

    data = event.raw_data
    if data is None and event.data is not None:
        data = encode_json(event.data).decode()
    return format_sse_event(
        data_str=data, event=event.event, id=event.id, retry=event.retry, comment=event.comment
    )


def _text_or_json(chunk: Any, end: bytes = b"") -> bytes:
    if isinstance(chunk, str):
        return chunk.encode(errors="replace")
    return encode_json(chunk) + end


def _content_type_of(first: Any) -> str:
    if isinstance(first, bytes | bytearray | memoryview):
        return "application/octet-stream"
    return "text/plain" if isinstance(first, str) else EVENT_STREAM


def _error_event(error: Exception, scope: Scope) -> bytes:
    body: dict[str, Any] = {"detail": "Internal Server Error"}
    if isinstance(error, HTTPException):
        body = {"detail": error.detail, "status": error.status_code}
    body["request_id"] = scope.get("state", {}).get("request_id")
    return b"event: error\ndata: " + encode_json(body) + b"\n\n"


async def _close(chunks: AsyncIterator[Any]) -> None:
    if isinstance(chunks, AsyncGenerator):
        await chunks.aclose()
