"""When a child process counts as started: its port is open, it answers, or it has said so."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from chutes.processes.output import Output

__all__ = ["HttpAnswers", "LineMatches", "PortOpen", "ReadyCheck"]

_PAUSE = 0.1
_ONE_TRY = 5.0


class ReadyCheck(Protocol):
    """A condition that a child process fulfils once it can be used."""

    async def wait(self, output: Output) -> None:
        """Return when it is fulfilled; the caller bounds the time and watches for the child's end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PortOpen:
    """Something listens on a TCP port. Choose a port that was free before: any listener counts."""

    port: int
    host: str = "127.0.0.1"

    async def wait(self, output: Output) -> None:
        """Return at the first connection that is accepted."""
        del output
        await _poll(self._open)

    async def _open(self) -> bool:
        try:
            async with asyncio.timeout(_ONE_TRY):
                _, writer = await asyncio.open_connection(self.host, self.port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswers:
    """`GET` of a path is answered with the status 200, over plain HTTP."""

    port: int
    path: str = "/health"
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"/[!-~]*", self.path):
            raise ValueError(f"Invalid path {self.path!r} of a ready check. Write one such as '/health'.")

    async def wait(self, output: Output) -> None:
        """Return at the first answer 200."""
        del output
        await _poll(self.answers)

    async def answers(self, seconds: float = _ONE_TRY) -> bool:
        """Ask once, and wait for so many seconds at most."""
        # Written by hand: an HTTP client would cost every chute its import, for one status line.
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nConnection: close\r\n\r\n"
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(self.host, self.port)
                try:
                    writer.write(request.encode("ascii"))
                    words = (await reader.readline()).split(maxsplit=2)
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return False
        return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1] == b"200"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMatches:
    """A line of the output in which a regular expression is found."""

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as exc:
            raise ValueError(f"Invalid pattern {self.pattern!r} of a ready check: {exc}.") from exc

    async def wait(self, output: Output) -> None:
        """Return at the first such line; one that has come already counts."""
        await output.seen(re.compile(self.pattern))


async def _poll(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - another process changes it: there is no event
        await asyncio.sleep(_PAUSE)
