"""A client for what wrk cannot do: calls at given moments, and clients that leave."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Answer", "called", "left", "parsed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, and when.

    Attributes:
        sent: seconds, monotonic, when the call went out.
        ended: when its answer was whole.
        status: of the answer; 0 for a connection that broke.
        headers: with names in small letters.
        body: as it came.
    """

    sent: float
    ended: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seconds(self) -> float:
        return self.ended - self.sent


async def called(port: int, target: str, body: str | None) -> Answer:
    """Make one call on a connection of its own."""
    sent = time.monotonic()
    try:
        async with _sent(port, target, body) as reader:
            raw = await reader.read()
    except OSError:
        return Answer(sent=sent, ended=time.monotonic(), status=0, headers={}, body=b"")
    return parsed(raw, sent=sent, ended=time.monotonic())


async def left(port: int, target: str, body: str | None, seconds: float) -> float:
    """Make one call, leave after a while without having its answer; when that was."""
    async with _sent(port, target, body):
        await asyncio.sleep(seconds)
    return time.monotonic()


def parsed(raw: bytes, *, sent: float, ended: float) -> Answer:
    """An answer from its bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    status = int(words[1]) if len(words) > 1 else 0
    return Answer(sent=sent, ended=ended, status=status, headers=headers, body=body)


@asynccontextmanager
async def _sent(port: int, target: str, body: str | None) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        method = "GET" if body is None else "POST"
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}\r\n{body or ''}".encode())
        await writer.drain()
        yield reader
    finally:
        # Whatever has not been read makes the system end the connection with a reset, as a client that is killed does.
        writer.transport.abort()
