"""The answer of an upstream on its way to the client."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import cast

import httpcore2
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chutes.serve.chunks import error_event, is_event_stream
from chutes.serve.disconnects import CLIENT_CLOSED_REQUEST, ClientGone
from chutes.serve.exchange import Exchange, exchange_of, shown_path
from chutes.serve.passthrough_body import Upload
from chutes.serve.passthrough_headers import Headers, returned
from chutes.serve.spans import record_error
from chutes.serve.streaming import StreamAborted

__all__ = ["Forwarded"]

_BODILESS = frozenset({204, 304})
_CUT = "The upstream ended before its answer was complete."
_LINE_ENDS = (b"\n", b"\r")


class Forwarded(Response):
    """A response that is sent as it comes from the upstream, byte for byte.

    Args:
        upstream: what came from there; its body is still on its way.
        upload: the request's.
        method: of the client's request.

    Attributes:
        cancels: a client that leaves ends the call.
        deadline: when the answer must be complete, on the clock of the event loop; None sets no limit.
        timeout: the seconds that the deadline stands for.
    """

    def __init__(self, upstream: httpcore2.Response, upload: Upload, method: str) -> None:
        self.status_code = upstream.status
        self.raw_headers: Headers = returned(upstream.status, upstream.headers)
        self.background: BackgroundTask | None = None
        self.body = b""
        self.cancels = True
        self.deadline: float | None = None
        self.timeout: float | None = None
        self.logger = logging.getLogger("chutes.serve")
        self._upstream = upstream
        self._upload = upload
        self._begun = self._ended = self._blocked = False
        self._last = b""
        self._left = self._length(method)

    async def close(self) -> None:
        """End the upstream's work on it, if that goes on."""
        await self._upstream.aclose()

    async def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Read the whole body, and send what `change` makes of it: for small ones.

        Raises:
            HTTPException: 502, the upstream ended before its answer was complete.
        """
        try:
            body = change(await self._upstream.aread())
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise HTTPException(HTTPStatus.BAD_GATEWAY, _CUT) from None
        finally:
            await self._upstream.aclose()
        self._upstream = httpcore2.Response(self.status_code, content=body)
        self._left = len(body)
        kept = [one for one in self.raw_headers if one[0] not in {b"content-length", b"transfer-encoding"}]
        self.raw_headers = [*kept, (b"content-length", str(self._left).encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            async with self._upload.cancelling() if self.cancels else contextlib.nullcontext():
                await self.deliver(scope, send)
        except ClientGone:
            self._note_gone(scope)
            if not self._begun:
                await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
            return
        if self.background is not None:
            await self.background()

    async def deliver(self, scope: Scope, send: Send) -> None:
        """Send it; a client that leaves cancels this from outside."""
        exchange = exchange_of(scope)
        limit = asyncio.timeout_at(self.deadline) if self.deadline is not None else None
        try:
            async with contextlib.nullcontext() if limit is None else limit:
                await self._send(exchange, send)
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            cut = HTTPException(HTTPStatus.BAD_GATEWAY, _CUT)
            await self._break_off(error, cut, scope, send)
        except TimeoutError as error:
            if limit is None or not limit.expired():
                raise
            await self._break_off(error, self._overdue(exchange), scope, send)
        finally:
            if exchange.wire is not None:
                exchange.wire.flush()
            await self._upstream.aclose()

    async def _send(self, exchange: Exchange, send: Send) -> None:
        meter = exchange.meter if self._left is None else None
        put, wire = (exchange.send, exchange.wire) if exchange.direct else (send, None)
        exchange.answering = self._begun = True
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": list(self.raw_headers)}
        )
        async for chunk in cast("AsyncIterator[bytes]", self._upstream.stream):
            if self._left is not None:
                self._left -= len(chunk)
                if self._left <= 0:
                    self._ended = True
                    await send({"type": "http.response.body", "body": chunk, "more_body": False})
                    continue
            elif meter is not None:
                if not self._last:
                    meter.first_chunk(time.perf_counter() - exchange.since)
                meter.chunks += 1
            self._last = chunk
            if wire is None or not wire.part(chunk):
                self._blocked = True
                await put({"type": "http.response.body", "body": chunk, "more_body": True})
                self._blocked = False
        if not self._ended:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _length(self, method: str) -> int | None:
        """Bytes of the body that are known to come; None where only its end tells."""
        if method == "HEAD" or self.status_code in _BODILESS:
            return 0
        lengths = [value for name, value in self.raw_headers if name == b"content-length"]
        return int(lengths[0]) if lengths else None

    def _takes_events(self) -> bool:
        """Whether one more event can be added to what was sent, and the client takes it."""
        headers = dict(self.raw_headers)
        plain = headers.get(b"content-encoding", b"identity").lower() == b"identity"
        return (
            plain
            and self._left is None
            and not self._blocked
            and is_event_stream(headers.get(b"content-type", b"").decode("latin-1"))
        )

    async def _break_off(self, cause: BaseException, error: HTTPException, scope: Scope, send: Send) -> None:
        """End a stream of events with an event that says why; cut anything else, so that nobody takes it for whole."""
        verb, path = scope["method"], shown_path(scope)
        self.logger.warning("The answer to %s %s was broken off: %s (%s)", verb, path, error.detail, cause)
        record_error(error)
        if not self._takes_events():
            raise StreamAborted from error
        line_end = b"" if not self._last or self._last.endswith(_LINE_ENDS) else b"\n"
        event = line_end + error_event(error, exchange_of(scope).request_id or None)
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _overdue(self, exchange: Exchange) -> HTTPException:
        if exchange.meter is not None:
            exchange.meter.timeouts += 1
        return HTTPException(
            HTTPStatus.GATEWAY_TIMEOUT, f"The call took more than its timeout of {self.timeout:g} s."
        )

    def _note_gone(self, scope: Scope) -> None:
        meter = exchange_of(scope).meter
        if meter is not None:
            meter.cancelled += 1
        self.logger.info("The client left %s %s in mid-answer.", scope["method"], shown_path(scope))
