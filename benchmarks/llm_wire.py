"""A question to a streaming model, asked with as little work as can be: the client shall not be what is measured."""

import asyncio
import re
import time
from collections.abc import Mapping

__all__ = ["Asking"]

_TOKEN = re.compile(rb'"(?:content|text)": ?"[^"]')
_END = b"\r\n0\r\n\r\n"
# Longer than what either is looked for by.
_TAIL = 32
_KEPT = 600
_SECONDS = 60.0


class Asking:
    """Where to ask, each question over a connection of its own: llama.cpp closes them behind a stream without saying so.

    Args:
        host: of the server.
        port: likewise.
        path: of the question.
        headers: of every request.
    """

    def __init__(self, host: str, port: int, path: str, headers: Mapping[str, str]) -> None:
        self._place = host, port
        told = {
            "Host": f"{host}:{port}",
            "Content-Type": "application/json",
            "Connection": "close",
            **headers,
        }
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
        self._head = "\r\n".join(lines).encode()

    async def first_token(self, body: bytes) -> float:
        """Seconds to the first token of an answer that was read to its end.

        Raises:
            OSError: nobody listens there, or the connection broke.
            RuntimeError: no token came; the text has what did.
        """
        loop = asyncio.get_running_loop()
        request = b"%b\r\nContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)
        ended: asyncio.Future[float] = loop.create_future()
        began = time.perf_counter()
        async with asyncio.timeout(_SECONDS):
            transport, _ = await loop.create_connection(lambda: _Answer(request, ended), *self._place)
            try:
                return await ended - began
            finally:
                # llama.cpp waits for the client to close.
                transport.close()


class _Answer(asyncio.Protocol):
    """One question on its connection, and what comes back."""

    def __init__(self, request: bytes, ended: asyncio.Future[float]) -> None:
        self._request = request
        self._ended = ended
        self._said = self._tail = b""
        self._first: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined] # TCP gives both ways

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        self._tail = seen[-_TAIL:]
        if self._first is None:
            self._said = (self._said + data)[:_KEPT]
            if _TOKEN.search(seen):
                self._first = time.perf_counter()
        if self._tail.endswith(_END):
            self._finish(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if self._first is not None and self._tail.endswith(_END):
            self._ended.set_result(self._first)
        else:
            said = self._said.decode(errors="replace")
            self._ended.set_exception(error or RuntimeError(f"no token came: {said}"))
