"""One websocket, as a server's connection treats it."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import httpx2
from starlette.types import ASGIApp, Message, Scope

from chutes.errors import WebSocketClosed, WebSocketRefused
from chutes.testing.channel import Channel
from chutes.testing.escapes import log_escape, origin
from chutes.testing.timeouts import WaitLimits, within

__all__ = ["Connection"]

_logger = logging.getLogger("chutes.testing")

# What sockets hold on their way to a server; beyond, a client waits for the application to receive.
_INCOMING_LIMIT = 1024 * 1024
_OUTGOING_LIMIT = 4

_ABNORMAL = 1006


@dataclass(frozen=True, slots=True, kw_only=True)
class _Close:
    """Who closed the websocket, and how."""

    by: Literal["client", "application"]
    code: int
    reason: str


class Connection:
    """One websocket. Everything but the constructor runs on the application's event loop.

    Args:
        request: the client's handshake.
        raise_errors: raise the application's exceptions to the client.
    """

    def __init__(self, request: httpx2.Request, *, raise_errors: bool) -> None:
        self._request = request
        self._limits = WaitLimits.of(request)
        self._raise_errors = raise_errors
        self._incoming: Channel[Message] = Channel(_INCOMING_LIMIT)
        self._outgoing: Channel[str | bytes] = Channel(_OUTGOING_LIMIT)
        self._connect_told = False
        self._accepted: httpx2.Response | None = None
        self._denial: Message | None = None
        self._denial_body = b""
        self._refusal: WebSocketRefused | None = None
        self._close: _Close | None = None
        self._error: BaseException | None = None
        self._settled = asyncio.Event()

    async def run(self, application: ASGIApp, scope: Scope) -> None:
        """Let the application serve the websocket; returns when it does, whatever happened."""
        try:
            await application(scope, self._receive, self._send)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a server outlives whatever escapes from an application
            log_escape(error, self._request, client_left=self._left_by_client())
            self._error = origin(error)
        finally:
            self._finish()

    async def accept(self) -> httpx2.Response:
        """The answer of status 101 with which the application accepts.

        Raises:
            WebSocketRefused: it did not accept.
            WebSocketClosed: the client was closed meanwhile.
            httpx2.ReadTimeout: it did not answer in time.
            Exception: the application's own, with `raise_errors`.
        """
        late = httpx2.ReadTimeout(
            f"The application has not answered the handshake for {self._limits.read} s."
        )
        await within(self._limits.read, self._settled.wait(), late)
        if self._accepted is not None:
            return self._accepted
        self._raise_application_error()
        raise self._refusal or self._closed()

    async def send(self, data: str | bytes) -> None:
        """Send one message.

        Raises:
            WebSocketClosed: either side has closed.
            httpx2.WriteTimeout: the application did not receive in time.
        """
        message = {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
        late = httpx2.WriteTimeout(f"The application has received nothing for {self._limits.write} s.")
        if not await within(self._limits.write, self._incoming.put(message, len(data) or 1), late):
            raise self._closed()

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketClosed: either side has closed, and all messages were received.
            httpx2.ReadTimeout: nothing came in time.
            Exception: the application's own, with `raise_errors`.
        """
        late = httpx2.ReadTimeout(f"The application has sent nothing for {self._limits.read} s.")
        data = await within(self._limits.read, self._outgoing.get(), late)
        if data is None:
            self._raise_application_error()
            raise self._closed()
        return data

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The client closes; on a closed websocket this means nothing."""
        if self._close is None:
            self._close = _Close(by="client", code=code, reason=reason)
            self._incoming.close()
            self._outgoing.abandon()
            self._settled.set()

    def disconnect(self) -> None:
        """The client's side goes away."""
        self.close(1001, "")

    async def _receive(self) -> Message:
        if not self._connect_told:
            self._connect_told = True
            return {"type": "websocket.connect"}
        message = await self._incoming.get()
        if message is not None:
            return message
        closed = self._closed()
        return {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}

    async def _send(self, message: Message) -> None:
        if self._left_by_client():
            raise ConnectionResetError(f"The client has closed the websocket {self._request.url.path!r}.")
        if self._close is not None:
            raise RuntimeError(f"Unexpected message {message['type']!r}: the websocket is closed already.")
        if self._denial is not None:
            self._deny(self._denial, message)
        elif self._accepted is None:
            self._answer_handshake(message)
        else:
            await self._deliver(message)

    def _answer_handshake(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                headers = [(bytes(name).lower(), bytes(value)) for name, value in message.get("headers", [])]
                if subprotocol := message.get("subprotocol"):
                    headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
                self._accepted = httpx2.Response(101, headers=headers, request=self._request)
                self._settled.set()
            case "websocket.close":
                self._refuse(403, code=message.get("code", 1000), reason=message.get("reason") or "")
            case "websocket.http.response.start":
                self._denial = message
            case other:
                raise RuntimeError(
                    "Expected the message 'websocket.accept', 'websocket.close' or "
                    f"'websocket.http.response.start', but got {other!r}."
                )

    def _deny(self, start: Message, message: Message) -> None:
        if message["type"] != "websocket.http.response.body":
            raise RuntimeError(
                f"Expected the message 'websocket.http.response.body', but got {message['type']!r}."
            )
        self._denial_body += message.get("body", b"")
        if not message.get("more_body", False):
            self._refuse(
                start["status"], headers=httpx2.Headers(start.get("headers", [])), body=self._denial_body
            )

    async def _deliver(self, message: Message) -> None:
        match message["type"]:
            case "websocket.send":
                data = message.get("bytes")
                data = message["text"] if data is None else bytes(data)
                if not await self._outgoing.put(data):
                    raise ConnectionResetError(
                        f"The client has closed the websocket {self._request.url.path!r}."
                    )
            case "websocket.close":
                self._end_by_application(message.get("code", 1000), message.get("reason") or "")
            case other:
                raise RuntimeError(
                    f"Expected the message 'websocket.send' or 'websocket.close', but got {other!r}."
                )

    def _refuse(
        self,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        code: int | None = None,
        reason: str = "",
    ) -> None:
        text = f"The application refused the websocket {self._request.url.path!r} with status {status}"
        if code is not None:
            text += f" (close code {code}{': ' if reason else ''}{reason})"
        self._refusal = WebSocketRefused(
            f"{text}.",
            status=status,
            headers=dict(headers or {}),
            body=body,
            code=code,
        )
        self._end_by_application(_ABNORMAL, "")

    def _end_by_application(self, code: int, reason: str) -> None:
        self._close = _Close(by="application", code=code, reason=reason)
        self._incoming.abandon()
        self._outgoing.close()
        self._settled.set()

    def _finish(self) -> None:
        if self._close is not None:
            return
        if self._accepted is None:
            if self._error is None:
                _logger.error("The application returned no answer: websocket %s", self._request.url)
            self._refuse(500, body=b"Internal Server Error")
        else:
            self._end_by_application(_ABNORMAL, "")

    def _closed(self) -> WebSocketClosed:
        close = self._close or _Close(by="application", code=_ABNORMAL, reason="")
        text = f"The {close.by} closed the websocket {self._request.url.path!r} with code {close.code}"
        return WebSocketClosed(
            f"{text}: {close.reason}" if close.reason else f"{text}.", code=close.code, reason=close.reason
        )

    def _left_by_client(self) -> bool:
        return self._close is not None and self._close.by == "client"

    def _raise_application_error(self) -> None:
        if self._raise_errors and isinstance(self._error, Exception):
            raise self._error
