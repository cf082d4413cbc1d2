"""The line to a real chute, over TCP or TLS, and the timer of a real event loop."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from chutes.bench.line import Answer, Done, Problem, WireRequest
from chutes.bench.wire import Wire

__all__ = ["Endpoint", "HttpLine", "LoopTimer"]

# uvicorn closes a connection that was idle for 5 s: to send on one that closes just then would look like a failure.
_LONGEST_IDLE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the chute listens.

    Attributes:
        host: a name or an address.
        port: 1 to 65535.
        tls: how to speak TLS; None to speak plain HTTP.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class LoopTimer:
    """The time of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        """See `Timer`; the loop's own clock may tick in milliseconds."""
        return time.perf_counter()

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """See `Timer`."""
        return self._loop.call_later(max(0.0, delay), callback)


class HttpLine:
    """See `Line`; it belongs to the event loop that runs when it is made."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._began = 0.0
        self._done: Done | None = None

    def send(self, request: WireRequest, done: Done) -> None:
        """See `Line`."""
        wire = self._wire
        if wire is not None and wire.usable and time.perf_counter() - wire.touched < _LONGEST_IDLE:
            wire.send(request, done)
            return
        if wire is not None:
            wire.close()
        self._began, self._done = time.perf_counter(), done
        self._connecting = self._loop.create_task(self._connect(request))

    def expire(self, before: float) -> None:
        """See `Line`."""
        wire = self._wire
        if self._connecting is not None:
            if self._began < before:
                self._connecting.cancel()
                self._failed("timeout", "no connection was made in time")
        elif wire is not None and wire.busy and wire.touched < before:
            wire.give_up(Problem("timeout", "nothing came from the chute for that long"))

    def close(self) -> None:
        """See `Line`."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = self._done = None
        if self._wire is not None:
            self._wire.forget()

    async def _connect(self, request: WireRequest) -> None:
        endpoint = self._endpoint
        wire = Wire(time.perf_counter)
        try:
            await self._loop.create_connection(lambda: wire, endpoint.host, endpoint.port, ssl=endpoint.tls)
        except OSError as exc:
            self._failed("no connection", str(exc))
            return
        if not wire.usable:
            self._failed("no answer", "the connection was closed as soon as it was made")
            return
        done = self._done
        self._wire, self._connecting, self._done = wire, None, None
        if done is not None:
            wire.send(request, done)

    def _failed(self, kind: str, text: str) -> None:
        done = self._done
        self._connecting = self._done = None
        if done is not None:
            done(Answer(0, time.perf_counter(), problem=Problem(kind, text)))
