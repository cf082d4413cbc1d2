"""One HTTP request and its answer, as a server's connection treats them."""

import asyncio
import logging
import re
from dataclasses import dataclass

import httpx2
from starlette.types import ASGIApp, Message, Scope

from chutes.testing.channel import Channel
from chutes.testing.escapes import log_escape, origin
from chutes.testing.timeouts import WaitLimits, within

__all__ = ["Exchange", "Head"]

_logger = logging.getLogger("chutes.testing")

# What sockets hold on their way to a server; beyond, a client waits for the application to read.
_UPLOAD_LIMIT = 1024 * 1024
_UPLOAD_PIECE = 64 * 1024
# A few chunks, so that a test sees at once that a fast generator waits for its slow reader.
_ANSWER_LIMIT = 4

_INVALID_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_INVALID_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An answer's status and headers."""

    status: int
    headers: list[tuple[bytes, bytes]]


class Exchange:
    """One request and its answer. Everything but the constructor runs on the application's event loop.

    Args:
        request: the client's request; its body is fed separately.
        raise_errors: raise the application's exceptions to the client.
    """

    def __init__(self, request: httpx2.Request, *, raise_errors: bool) -> None:
        self._request = request
        self._limits = WaitLimits.of(request)
        self._raise_errors = raise_errors
        self._upload: Channel[bytes] = Channel(_UPLOAD_LIMIT)
        self._answer: Channel[bytes] = Channel(_ANSWER_LIMIT)
        self._upload_told = False
        self._head: Head | None = None
        self._unanswered = False
        self._missing: int | None = None
        self._complete = False
        self._client_left = False
        self._error: BaseException | None = None
        self._head_known = asyncio.Event()
        self._over = asyncio.Event()
        self._returned = asyncio.Event()

    async def run(self, application: ASGIApp, scope: Scope) -> None:
        """Let the application answer; returns when it does, whatever happened."""
        try:
            await application(scope, self._receive, self._send)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a server outlives whatever escapes from an application
            log_escape(error, self._request, client_left=self._client_left)
            self._error = origin(error)
        finally:
            await self._finish()

    async def feed(self, data: bytes) -> bool:
        """Send a part of the request's body; False when nobody reads it any more.

        Raises:
            httpx2.WriteTimeout: the application did not read in time.
        """
        view = memoryview(data)
        for start in range(0, len(view), _UPLOAD_PIECE):
            piece = bytes(view[start : start + _UPLOAD_PIECE])
            late = httpx2.WriteTimeout(
                f"The application has read nothing of the body for {self._limits.write} s."
            )
            if not await within(self._limits.write, self._upload.put(piece, len(piece)), late):
                return False
        return True

    async def end_body(self) -> None:
        """Say that the request's body is whole."""
        self._upload.close()

    async def head(self) -> Head:
        """Status and headers, once the application has sent them.

        Raises:
            httpx2.ReadTimeout: the application did not answer in time.
            httpx2.ReadError: the client was closed meanwhile.
            Exception: the application's own, with `raise_errors`.
        """
        late = httpx2.ReadTimeout(f"The application has not answered for {self._limits.read} s.")
        await within(self._limits.read, self._head_known.wait(), late)
        if self._unanswered:
            self._raise_application_error()
        if self._head is None:
            raise httpx2.ReadError("The client was closed before the answer came.")
        return self._head

    async def read(self) -> bytes | None:
        """The next part of the answer's body; None at its end.

        Raises:
            httpx2.ReadTimeout: the application sent nothing in time.
            httpx2.RemoteProtocolError: the answer ended before it was whole.
            httpx2.ReadError: the client was closed meanwhile.
            Exception: the application's own, with `raise_errors`.
        """
        late = httpx2.ReadTimeout(f"The application has sent nothing for {self._limits.read} s.")
        chunk = await within(self._limits.read, self._answer.get(), late)
        if chunk is not None:
            return chunk
        if self._client_left:
            raise httpx2.ReadError("The client was closed before the answer was whole.")
        if self._raise_errors:
            late = httpx2.ReadTimeout(
                f"The answer is whole, but the application has not returned for {self._limits.read} s."
            )
            await within(self._limits.read, self._returned.wait(), late)
            self._raise_application_error()
        if not self._complete:
            raise httpx2.RemoteProtocolError(
                "The application broke off its answer before it was whole."
            ) from self._error
        return None

    def disconnect(self) -> None:
        """The client leaves; after a whole answer this means nothing."""
        if self._over.is_set():
            return
        self._client_left = True
        self._upload.abandon()
        self._answer.abandon()
        self._head_known.set()
        self._over.set()

    async def _receive(self) -> Message:
        if not self._upload_told:
            piece = await self._upload.get()
            if not self._over.is_set():
                self._upload_told = piece is None or self._upload.exhausted
                return {"type": "http.request", "body": piece or b"", "more_body": not self._upload_told}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._client_left:
            # As with a server, nothing happens. The pause lets a loop be cancelled that awaits nothing else.
            await asyncio.sleep(0)
        elif self._head is None:
            self._start(message)
        elif not self._complete:
            await self._continue(message)
        else:
            raise RuntimeError(f"Unexpected message {message['type']!r}: the answer is whole already.")

    def _start(self, message: Message) -> None:
        if message["type"] != "http.response.start":
            raise RuntimeError(f"Expected the message 'http.response.start', but got {message['type']!r}.")
        headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", [])]
        for name, value in headers:
            if _INVALID_NAME.search(name) or _INVALID_VALUE.search(value):
                raise RuntimeError(f"Invalid HTTP header {name!r}: {value!r}.")
        self._missing = _body_length(self._request.method, message["status"], headers)
        self._head = Head(status=message["status"], headers=headers)
        self._head_known.set()

    async def _continue(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError(f"Expected the message 'http.response.body', but got {message['type']!r}.")
        body = b"" if self._request.method == "HEAD" else bytes(message.get("body", b""))
        self._count(len(body))
        if body and not await self._answer.put(body):
            return
        if not message.get("more_body", False):
            if self._missing:
                raise RuntimeError(f"The body is {self._missing} bytes shorter than its Content-Length.")
            self._complete = True
            self._end()

    def _count(self, length: int) -> None:
        if self._missing is None:
            return
        if length > self._missing:
            raise RuntimeError(f"The body is {length - self._missing} bytes longer than its Content-Length.")
        self._missing -= length

    def _end(self) -> None:
        self._answer.close()
        self._upload.abandon()
        self._over.set()

    async def _finish(self) -> None:
        if self._head is None and not self._client_left:
            await self._answer_500()
        self._end()
        self._head_known.set()
        self._returned.set()

    async def _answer_500(self) -> None:
        if self._error is None:
            _logger.error(
                "The application returned no answer: %s %s", self._request.method, self._request.url
            )
        self._unanswered = True
        plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")]
        await self._send({"type": "http.response.start", "status": 500, "headers": plain})
        await self._send({"type": "http.response.body", "body": b"Internal Server Error"})

    def _raise_application_error(self) -> None:
        if self._raise_errors and isinstance(self._error, Exception):
            raise self._error


def _body_length(method: str, status: int, headers: list[tuple[bytes, bytes]]) -> int | None:
    """How many bytes the body must have; None when it ends by itself."""
    if method == "HEAD":
        return 0
    fields = dict(headers)
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        return None
    if b"content-length" in fields:
        return int(fields[b"content-length"])
    return 0 if status in {204, 304} else None
