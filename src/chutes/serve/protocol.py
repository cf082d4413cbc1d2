"""Uvicorn's protocols, with limits for clients that keep to no rule."""

import asyncio
import select
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from chutes.serve.cycle import Cycle, OldCycle

__all__ = ["Protocol", "SocketProtocol", "drop_stuck"]

_LONGEST_HEAD = 65536
_HEAD_SECONDS = 30.0
_FLUSH_SECONDS = 5.0
_MOST_AT_ONCE = 1000
_LAST_HEAD_SECONDS = 2.0


class Protocol(HttpToolsProtocol):
    """One connection.

    Uvicorn's own keeps whatever a client sends as header fields or trailers, without a bound and before anybody asks
    for a key, and waits for the end of a head for ever.
    """

    head_since: float | None = None
    """When the head that is not complete yet began; None while there is none."""
    idle_since: float | None = None
    """When the last answer ended and nothing has come since; None otherwise."""
    _cut_since: float | None = None
    _loose = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._under_way: deque[RequestResponseCycle] = deque()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """A client is there, and owes a request."""
        super().connection_made(transport)
        self.head_since = time.monotonic()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._abandon()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and count what belongs to no body."""
        self._loose += len(data)
        self.idle_since = None
        super().data_received(data)
        if self._loose > _LONGEST_HEAD and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        """A head begins."""
        self._loose = 0
        self.head_since = time.monotonic()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is complete; fields that come after the body are no part of it."""
        self.head_since = None
        while self._under_way and self._under_way[0].response_complete:
            self._under_way.popleft()
        if len(self._under_way) > _MOST_AT_ONCE:
            raise ValueError("The client sends requests and reads no answers.")
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []
            self._under_way.append(self.cycle)
            # Uvicorn makes the cycle itself; nothing of it has run yet.
            if self.scope["http_version"] == "1.0":
                self.cycle.__class__ = OldCycle
            elif self.scope["method"] != "HEAD":
                self.cycle.__class__ = Cycle

    def on_response_complete(self) -> None:
        """An answer has ended. Uvicorn's own makes a timer each time, though most clients soon send their next request."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self.idle_since = time.monotonic()

    def on_body(self, body: bytes) -> None:
        """A part of a body, which has a limit of its own."""
        self._loose = 0
        super().on_body(body)

    def shutdown(self) -> None:
        """The server ends: close an idle connection. A request that has begun to come is answered first."""
        if self._newest is None and not self.transport.is_closing() and self._has_begun():
            self.loop.call_later(_LAST_HEAD_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP; the requests before them keep their answers."""
        cycle = self._newest
        if cycle is None:
            super().send_400_response(msg)
        elif not cycle.more_body:
            cycle.keep_alive = False
        else:
            if cycle.response_started or self.pipeline:
                self.transport.close()
            else:
                super().send_400_response(msg)
            self._abandon()

    def drop(self) -> None:
        """End a connection whose head does not come to its end."""
        self.head_since = None
        self._refuse(b"408 Request Timeout")

    def has_been_cut(self, now: float) -> float | None:
        """Seconds since an answer was seen to be cut short with a part of it not taken yet; None where none was."""
        if not self.transport.is_closing() or all(cycle.response_complete for cycle in self._under_way):
            return None
        if self._cut_since is None:
            self._cut_since = now
        return now - self._cut_since

    def _has_begun(self) -> bool:
        """Whether a part of a head is there, be it that nobody has read it yet."""
        if self.head_since is not None and self.scope is not None:
            return True
        # To close now would reset the connection, and the client could not know whether its request was taken.
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    @property
    def _newest(self) -> RequestResponseCycle | None:
        """The call that was sent last, as long as its answer is not complete."""
        return self._under_way[-1] if self._under_way and not self._under_way[-1].response_complete else None

    def _refuse(self, status: bytes) -> None:
        if self._newest is None:
            lines = [b"HTTP/1.1 " + status, b"content-length: 0", b"connection: close", b"", b""]
            self.transport.write(b"\r\n".join(lines))
        self.transport.close()
        self._abandon()

    def _abandon(self) -> None:
        """Tell every call under way that nobody waits for it: uvicorn tells the one that was sent last."""
        for cycle in self._under_way:
            if not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                if isinstance(cycle, Cycle):
                    cycle.tell_gone()


class SocketProtocol(WebSocketsSansIOProtocol):
    """One websocket."""

    async def send(self, message: Any) -> None:
        """Send; a refused handshake tells the id of its request too, which uvicorn's own answer does not."""
        if (
            message["type"] != "websocket.close"
            or self.handshake_complete
            or self.initial_response is not None
        ):
            await super().send(message)
            return
        headers = [(b"x-request-id", str(self.scope["state"].get("request_id", "")).encode())]
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await super().send({"type": "websocket.http.response.start", "status": 403, "headers": headers})
        await super().send({"type": "websocket.http.response.body", "body": b""})

    def handle_events(self) -> None:
        """Take the frames that have come; one that breaks a rule while the websocket closes ends the connection."""
        try:
            super().handle_events()
        except InvalidState:
            self.transport.close()


def drop_stuck(connections: Iterable[object], patience: float = _FLUSH_SECONDS) -> None:
    """End the connections that have owed the rest of a head for too long, are idle, or are cut but not read.

    Args:
        connections: all of the server's.
        patience: seconds that a client has to take what was sent before its answer was cut.
    """
    now = time.monotonic()
    for connection in [one for one in connections if isinstance(one, Protocol)]:
        cut = connection.has_been_cut(now)
        if cut is not None and cut >= patience:
            connection.transport.abort()
        elif connection.head_since is not None and now - connection.head_since > _HEAD_SECONDS:
            connection.drop()
        elif (
            connection.idle_since is not None and now - connection.idle_since > connection.timeout_keep_alive
        ):
            connection.timeout_keep_alive_handler()
