"""One connection through a front: bytes both ways, at the pace of the slower side, ends included."""

import asyncio
import contextlib
import json
import socket
import struct
from typing import cast

from chutes.deploy.local.front_table import Backend, Table

__all__ = ["Client", "Links"]

_BUFFER_BYTES = 256 * 1024
_CONNECT_SECONDS = 5.0
_REFUSED_SECONDS = 2.0
_HELD_AT_MOST = 4096
_RETRY_AFTER = 5
_NO_LINGER = struct.pack("ii", 1, 0)


class Links:
    """All connections of a front, and how many of them wait for an instance."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.clients: set[Client] = set()
        self.held = 0
        self._quiet = asyncio.Event()

    def client(self) -> "Client":
        """What handles a new connection."""
        return Client(self)

    async def end(self) -> None:
        """Wait until all of them have ended."""
        while self.clients:
            self._quiet.clear()
            await self._quiet.wait()

    def forget(self, client: "Client") -> None:
        """It has ended."""
        self.clients.discard(client)
        if not self.clients:
            self._quiet.set()


class _Side(asyncio.Protocol):
    """One end of a link; what comes in goes out at the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the way out."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        """Pass the end on, and keep the way back open; returns that it stays open."""
        self.has_ended = True
        other = self.other
        if other is None or other.transport is None:
            return False
        if other.has_ended:
            other.transport.close()
            return False
        if not other.transport.is_closing():
            # It may have been reset a moment ago.
            with contextlib.suppress(OSError, RuntimeError):
                other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        """What is read on the other side would pile up here."""
        if self.other is not None and self.other.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """There is room again."""
        if self.other is not None and self.other.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side likewise: a reset is passed on as a reset, what was received before an end is sent."""
        other = self.other
        if other is None or other.transport is None:
            return
        if exc is not None:
            _reset(other.transport)
        else:
            other.transport.close()


class Client(_Side):
    """The side of the client: finds an instance, and keeps the client waiting while there is none."""

    def __init__(self, links: Links) -> None:
        super().__init__()
        self._links = links
        self._early: list[bytes] = []
        self._is_refused = False
        self._connecting: asyncio.Task[None] | None = None
        self._backend: Backend | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find somebody who takes what it will send."""
        super().connection_made(transport)
        self._links.clients.add(self)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        """Pass it on, or keep the first of it; the rest waits outside."""
        if self.other is not None:
            super().data_received(data)
        elif not self._is_refused and self.transport is not None:
            self._early.append(data)
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Pass the end on; one who waits for an instance may have sent all that there is to send."""
        stays = super().eof_received()
        return stays or (self.other is None and not self._is_refused)

    def join(self, upstream: "_Upstream") -> None:
        """From now on there is somebody who takes it."""
        self.other = upstream
        if self.transport is None or upstream.transport is None or self.transport.is_closing():
            if upstream.transport is not None:
                upstream.transport.close()
            return
        for data in self._early:
            upstream.transport.write(data)
        self._early.clear()
        if self.has_ended:
            upstream.transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._links.forget(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._backend is not None:
            self._links.table.release(self._backend)
            self._backend = None

    async def _connect(self) -> None:
        links = self._links
        if await self._reach(links.table.choose()):
            return
        if links.table.listed() and links.held < _HELD_AT_MOST:
            links.held += 1
            try:
                if await self._wait():
                    return
            finally:
                links.held -= 1
        await self._refuse()

    async def _wait(self) -> bool:
        """Try until the time is over; in the end one that is not ready may say so itself."""
        table, clock = self._links.table, asyncio.get_running_loop().time
        deadline = clock() + table.hold
        while (left := deadline - clock()) > 0:
            backend = table.choose()
            if backend is None:
                await table.change(left)
            elif await self._reach(backend):
                return True
        for backend in table.listed():
            if await self._reach(backend):
                return True
        return False

    async def _reach(self, backend: Backend | None) -> bool:
        """Connect to an instance; one that refuses gets no more until it is ready again."""
        if backend is None or self.transport is None:
            return False
        backend.open += 1
        self._backend = backend
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().create_connection(lambda: _Upstream(self), *backend.address)
        except OSError:
            self._backend = None
            backend.fail()
            self._links.table.release(backend)
            return False
        # It has been paused if it was quick to send.
        if not self.transport.is_closing() and not self.has_ended:
            self.transport.resume_reading()
        return True

    async def _refuse(self) -> None:
        """Answer in the place of the chute: whoever speaks HTTP learns when to come again."""
        if self.transport is None or self.transport.is_closing():
            return
        self._is_refused = True
        self.transport.write(_refusal(bool(self._links.table.listed())))
        self.transport.write_eof()
        if not self.has_ended:
            self.transport.resume_reading()
        # Closed with a request unread, the connection would be reset before the answer is.
        await asyncio.sleep(_REFUSED_SECONDS)
        self.transport.close()


class _Upstream(_Side):
    """The side of the instance."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.other = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From now on the client's bytes have somewhere to go."""
        super().connection_made(transport)
        cast("Client", self.other).join(self)


def _refusal(starting: bool) -> bytes:
    why = "The chute is starting." if starting else "The chute does not run: it was scaled to 0."
    body = json.dumps({"detail": why}).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nRetry-After: {_RETRY_AFTER}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
