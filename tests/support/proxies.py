"""A way to a server that breaks when a test says so: what was sent arrives, and no answer comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """Forwards connections to a port of 127.0.0.1.

    Attributes:
        port: where it listens.
        break_at: bytes; the connection whose client sends them breaks once the server has answered that.
        broken: how many connections broke.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.break_at: bytes | None = None
        self.broken = 0
        self._target = target
        self._open: set[asyncio.Task[None] | None] = set()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, until one side ends it."""
        self._open.add(asyncio.current_task())
        writers = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
            writers.append(up_writer)
            doomed = asyncio.Event()
            ways = (self._up(reader, up_writer, doomed), self._down(up_reader, writer, doomed))
            tasks = [asyncio.create_task(way) for way in ways]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for one in writers:
                one.transport.abort()
            self._open.discard(asyncio.current_task())

    async def end(self) -> None:
        """End what is still open."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if self.break_at is not None and self.break_at in data:
                self.break_at = None
                doomed.set()
            writer.write(data)

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event
    ) -> None:
        while data := await reader.read(65536):
            if doomed.is_set():
                self.broken += 1
                return
            writer.write(data)


@contextlib.asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """A proxy that listens."""
    made = Proxy(target)
    server = await asyncio.start_server(made.forward, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
        # The transports close in the next turns of the loop.
        await asyncio.sleep(0.01)
