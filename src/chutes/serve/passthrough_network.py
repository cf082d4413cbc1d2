"""The sockets under the connections to upstreams: asyncio's own, which take fewer steps than a library for every loop."""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2

__all__ = ["Network"]

_MOST_HELD = 256 * 1024


class Network(httpcore2.AsyncNetworkBackend):
    """Opens connections over TCP, without encryption: upstreams are on this machine."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> "Connection":
        """Connect.

        Raises:
            httpcore2.ConnectTimeout: nobody took the connection in time.
            httpcore2.ConnectError: nobody takes it.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(Connection, host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return connection

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no upstream has one."""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class Connection(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """One connection. What comes is held until it is asked for, up to a bound at which the upstream has to wait.

    Neither reads nor writes have a limit of time: the deadline of the call cancels them.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._full = False
        self._paused = False
        self._retired = False

    def retire(self) -> None:
        """Have no further call sent over it: it ends with the one that it is used for."""
        self._retired = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = transport  # type: ignore[assignment] # TCP gives both ways

    def data_received(self, data: bytes) -> None:
        """Hold what has come."""
        self._held += data
        if len(self._held) > _MOST_HELD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        _wake(self._reader)

    def eof_received(self) -> None:
        """The upstream says no more, and is told no more."""
        self._ended = True
        _wake(self._reader)

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._ended, self._error = True, error
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """The upstream takes nothing at the moment."""
        self._full = True

    def resume_writing(self) -> None:
        """It takes some more."""
        self._full = False
        _wake(self._writer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's signature
        """What has come, in one piece; nothing at the end.

        Raises:
            httpcore2.ReadError: the connection broke: what came was not all.
        """
        if not self._held and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        if self._error is not None and not self._held:
            raise httpcore2.ReadError(str(self._error)) from self._error
        data = bytes(self._held)
        self._held.clear()
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's signature
        """Send, and wait while the upstream takes nothing.

        Raises:
            httpcore2.WriteError: the connection has ended.
        """
        if self._transport is None or self._transport.is_closing():
            raise httpcore2.WriteError("The connection has ended.")
        self._transport.write(buffer)
        while self._full and not self._transport.is_closing():
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    async def aclose(self) -> None:
        """End it at once: what the upstream has not taken yet is not waited for."""
        if self._transport is not None:
            self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: upstreams are on this machine."""
        raise NotImplementedError

    def get_extra_info(self, info: str) -> Any:
        """Whether no further call can use it: it is retired, or something has come, or the end, that nobody asked for."""
        return (self._retired or self._ended or bool(self._held)) if info == "is_readable" else None


def _wake(waiting: "asyncio.Future[None] | None") -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
