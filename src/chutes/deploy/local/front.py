"""The program that owns a chute's port, and spreads its connections over the instances: `python -m chutes.deploy.local.front`.

It forwards bytes and reads no HTTP. What runs behind it can be replaced, and may end and start again, while it keeps
the port.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from chutes.deploy.local.front_link import Links
from chutes.deploy.local.front_table import Table

__all__ = ["FRONT", "Front", "FrontOptions", "loop_factory", "main"]

FRONT = 1
"""What the file and the answers of a front look like: one of another number is replaced."""

_BACKLOG = 2048
_READ_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontOptions:
    """Where a front listens.

    Attributes:
        host: the address of the chute.
        port: the port of the chute; 0 takes a free one.
        control: the port on the loopback address that tells what goes where; 0 takes a free one.
        file: what runs, as `Table` reads it.
    """

    host: str
    port: int
    control: int
    file: Path


class Front:
    """A front while it runs, as an asynchronous context.

    Attributes:
        port: where the chute answers.
        control: where the front tells of itself.
        table: the instances.
    """

    def __init__(self, options: FrontOptions) -> None:
        self.port = options.port
        self.control = options.control
        self.table = Table(options.file)
        self._options = options
        self._links = Links(self.table)
        self._around = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        await self._around.__aenter__()
        listener = _bound(self._options.host, self._options.port)
        self._listening = await loop.create_server(self._links.client, sock=listener, backlog=_BACKLOG)
        self._around.callback(self._listening.close)
        control = await asyncio.start_server(self._tell, "127.0.0.1", self._options.control)
        self._around.callback(control.close)
        self.port = listener.getsockname()[1]
        self.control = control.sockets[0].getsockname()[1]
        self.table.read()
        self._around.callback(self.table.close)
        reading = loop.create_task(self._read_for_ever())
        self._around.callback(reading.cancel)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for client in list(self._links.clients):
            if client.transport is not None:
                client.transport.abort()
        await self._around.aclose()
        # The transports tell their protocols in the next turns of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def drain(self) -> None:
        """Take no new connection, and wait until those that are open have ended."""
        # Those that the system has taken already are ours.
        await asyncio.sleep(0)
        self._listening.close()
        await self._links.end()

    def status(self) -> dict[str, object]:
        """What goes where."""
        return {
            "front": FRONT,
            "generation": self.table.generation,
            "held": self._links.held,
            "backends": [
                {
                    "name": one.name,
                    "port": one.port,
                    "ready": one.ready,
                    "open": one.open,
                    "listed": one.listed,
                }
                for one in self.table.backends.values()
            ],
        }

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who asks has just written the file, most likely.
        self.table.read()
        writer.write(json.dumps(self.status()).encode() + b"\n")
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    async def _read_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_READ_SECONDS)
            self.table.read()


def main() -> None:
    """Run until SIGTERM, and then until the last connection ends or a second one comes."""
    parser = argparse.ArgumentParser(description="Spread the connections of a chute over its instances.")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--control", required=True, type=int)
    parser.add_argument("--file", required=True, type=Path)
    options = FrontOptions(**vars(parser.parse_args()))
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(options))


async def _serve(options: FrontOptions) -> None:
    stopping, loop = asyncio.Queue[None](), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.put_nowait, None)
    async with Front(options) as front:
        logging.getLogger("chutes.deploy.front").info("Listening on %s:%s.", options.host, front.port)
        await stopping.get()
        drained = asyncio.create_task(front.drain())
        at_once = asyncio.create_task(stopping.get())
        await asyncio.wait({drained, at_once}, return_when=asyncio.FIRST_COMPLETED)
        for task in (drained, at_once):
            task.cancel()


def _bound(host: str, port: int) -> socket.socket:
    """A socket beside which the next front can bind its own before this one goes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def loop_factory() -> "type[asyncio.AbstractEventLoop] | None":
    """The quicker loop, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


if __name__ == "__main__":
    main()
