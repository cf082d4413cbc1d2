"""httpx2 transports that lead to an application in this process."""

from collections.abc import AsyncIterator, Iterator

import httpx2

from chutes.testing.exchange import Exchange, Head
from chutes.testing.loop_thread import LoopBlocked, LoopThread
from chutes.testing.server import InProcessServer
from chutes.testing.timeouts import WaitLimits

__all__ = ["AsyncTransport", "SyncTransport"]


class AsyncTransport(httpx2.AsyncBaseTransport):
    """Requests to an application on the caller's own event loop."""

    def __init__(self, server: InProcessServer) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; the response can be read as the application writes it."""
        if not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError(
                "The body of an asynchronous request cannot come from an iterator; use an async one."
            )
        exchange, head = await _exchange(self._server, request, request.stream)
        return _response(head, _AsyncBody(exchange))


class SyncTransport(httpx2.BaseTransport):
    """Requests to an application on the event loop of another thread."""

    def __init__(self, server: InProcessServer, thread: LoopThread) -> None:
        self._server = server
        self._thread = thread

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; the response can be read as the application writes it."""
        limits = WaitLimits.of(request)
        try:
            if isinstance(request.stream, httpx2.AsyncByteStream):
                exchange, head = self._thread.call(
                    limits.read, _exchange, self._server, request, request.stream
                )
            else:
                exchange, head = self._exchange(request, request.stream, limits)
        except LoopBlocked as blocked:
            raise httpx2.ReadTimeout(str(blocked)) from None
        return _response(head, _SyncBody(exchange, self._thread, limits))

    def _exchange(
        self, request: httpx2.Request, body: httpx2.SyncByteStream, limits: WaitLimits
    ) -> tuple[Exchange, Head]:
        # The body's iterator is the test's code, so it runs on the test's thread, as it would with a socket.
        exchange = self._thread.call(limits.write, self._server.open, request)
        try:
            for chunk in body:
                if not self._thread.call(limits.write, exchange.feed, chunk):
                    break
            self._thread.call(limits.write, exchange.end_body)
            return exchange, self._thread.call(limits.read, exchange.head)
        except BaseException:
            self._thread.call_soon(exchange.disconnect)
            raise


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._exchange.read()) is not None:
            yield chunk

    async def aclose(self) -> None:
        self._exchange.disconnect()


class _SyncBody(httpx2.SyncByteStream):
    def __init__(self, exchange: Exchange, thread: LoopThread, limits: WaitLimits) -> None:
        self._exchange = exchange
        self._thread = thread
        self._patience = limits.read

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._read()) is not None:
            yield chunk

    def close(self) -> None:
        self._thread.call_soon(self._exchange.disconnect)

    def _read(self) -> bytes | None:
        try:
            return self._thread.call(self._patience, self._exchange.read)
        except LoopBlocked as blocked:
            raise httpx2.ReadTimeout(str(blocked)) from None


async def _exchange(
    server: InProcessServer, request: httpx2.Request, body: httpx2.AsyncByteStream
) -> tuple[Exchange, Head]:
    exchange = await server.open(request)
    try:
        async for chunk in body:
            if not await exchange.feed(chunk):
                break
        await exchange.end_body()
        return exchange, await exchange.head()
    except BaseException:
        exchange.disconnect()
        raise


def _response(head: Head, body: httpx2.SyncByteStream | httpx2.AsyncByteStream) -> httpx2.Response:
    return httpx2.Response(
        head.status, headers=head.headers, stream=body, extensions={"http_version": b"HTTP/1.1"}
    )
