"""The client's end of a websocket, for asynchronous tests and for others."""

import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Literal, ParamSpec, TypeVar

import httpx2

from chutes.errors import WebSocketClosed
from chutes.testing.connection import Connection
from chutes.testing.loop_thread import LoopBlocked, LoopThread

__all__ = ["AsyncWebSocketSession", "WebSocketSession"]

P = ParamSpec("P")
T = TypeVar("T")

_ORDERLY = frozenset({1000, 1001})


class AsyncWebSocketSession:
    """An open websocket, from the client's side; opened by `AsyncTestClient.websocket_connect`.

    Sending and receiving raise `WebSocketClosed` once the websocket is closed and all messages were received,
    and httpx2's `WriteTimeout` and `ReadTimeout` when the application is too slow.

    Attributes:
        subprotocol: the one that the application chose, if any.
        headers: the headers of the application's accept.
    """

    def __init__(self, connection: Connection, accept: httpx2.Response) -> None:
        self.subprotocol = accept.headers.get("sec-websocket-protocol")
        self.headers = accept.headers
        self._connection = connection

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        await self._connection.send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self._connection.send(bytes(data))

    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send `data` as JSON, in a text or a binary message."""
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        await self._connection.send(text if mode == "text" else text.encode())

    async def receive(self) -> str | bytes:
        """The next message, of either kind."""
        return await self._connection.receive()

    async def receive_text(self) -> str:
        """The next message.

        Raises:
            TypeError: it is a binary one.
        """
        return _as_text(await self.receive())

    async def receive_bytes(self) -> bytes:
        """The next message.

        Raises:
            TypeError: it is a text message.
        """
        return _as_bytes(await self.receive())

    async def receive_json(self) -> Any:
        """The next message, of either kind, decoded from JSON."""
        return json.loads(await self.receive())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the websocket; on a closed one this does nothing."""
        self._connection.close(code, reason)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """The messages up to an orderly close, with code 1000 or 1001."""
        try:
            while True:
                yield await self.receive()
        except WebSocketClosed as closed:
            if closed.code not in _ORDERLY:
                raise


class WebSocketSession:
    """An open websocket, from the client's side; opened by `TestClient.websocket_connect`.

    Sending and receiving raise `WebSocketClosed` once the websocket is closed and all messages were received,
    and httpx2's `WriteTimeout` and `ReadTimeout` when the application is too slow.

    Attributes:
        subprotocol: the one that the application chose, if any.
        headers: the headers of the application's accept.
    """

    def __init__(self, session: AsyncWebSocketSession, thread: LoopThread, patience: float | None) -> None:
        self.subprotocol = session.subprotocol
        self.headers = session.headers
        self._session = session
        self._thread = thread
        self._patience = patience

    def send_text(self, data: str) -> None:
        """Send a text message."""
        self._call(self._session.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._call(self._session.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send `data` as JSON, in a text or a binary message."""
        self._call(self._session.send_json, data, mode)

    def receive(self) -> str | bytes:
        """The next message, of either kind."""
        return self._call(self._session.receive)

    def receive_text(self) -> str:
        """The next message.

        Raises:
            TypeError: it is a binary one.
        """
        return self._call(self._session.receive_text)

    def receive_bytes(self) -> bytes:
        """The next message.

        Raises:
            TypeError: it is a text message.
        """
        return self._call(self._session.receive_bytes)

    def receive_json(self) -> Any:
        """The next message, of either kind, decoded from JSON."""
        return self._call(self._session.receive_json)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the websocket; on a closed one this does nothing."""
        self._call(self._session.close, code, reason)

    def __iter__(self) -> Iterator[str | bytes]:
        """The messages up to an orderly close, with code 1000 or 1001."""
        try:
            while True:
                yield self.receive()
        except WebSocketClosed as closed:
            if closed.code not in _ORDERLY:
                raise

    def _call(self, method: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return self._thread.call(self._patience, method, *args, **kwargs)
        except LoopBlocked as blocked:
            raise httpx2.ReadTimeout(str(blocked)) from None


def _as_text(data: str | bytes) -> str:
    if isinstance(data, bytes):
        raise TypeError(f"Received {len(data)} bytes, not text. Use receive_bytes().")
    return data


def _as_bytes(data: str | bytes) -> bytes:
    if isinstance(data, str):
        raise TypeError(f"Received the text {data[:80]!r}, not bytes. Use receive_text().")
    return data
