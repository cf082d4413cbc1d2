"""One request on a connection, with ways to answer that take fewer system calls than ASGI's messages."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from chutes.serve.exchange import Headers, Wire

__all__ = ["Cycle", "OldCycle"]

_MOST_HELD = 16384
_CLOSE = (b"connection", b"close")


class Cycle(RequestResponseCycle, Wire):
    """Uvicorn's, with two ways past it: a whole answer in one write, and small parts of streams together in one."""

    _held: list[bytes] | None = None
    """Parts that are not written yet; None when the loop is not asked to write any."""
    _size = 0
    _on_gone: Callable[[], None] | None = None

    def request(self) -> Message | None:
        """The whole body, when it is there already and nobody has read of it."""
        if self.more_body or self.disconnected or self.waiting_for_100_continue:
            return None
        body, self.body = self.body, bytearray()
        self.message_event.clear()
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Write a whole answer: its head and its body, to a client that takes it."""
        if self.flow.write_paused or self.response_started:
            return False
        if self.disconnected:
            return True
        if self.keep_alive and _CLOSE in headers:
            self.keep_alive = False
        elif not self.keep_alive and _CLOSE not in headers:
            headers.append(_CLOSE)
        lines = [STATUS_LINE[status]]
        for name, value in self.default_headers + headers:
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n", body)
        self.transport.write(b"".join(lines))
        self.response_started = self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True

    def part(self, body: bytes) -> bool:
        """Write a part of a stream, together with those that follow before the loop gets to anything else."""
        if self.flow.write_paused or not self.chunked_encoding or self.response_complete:
            return False
        if self.disconnected:
            return True
        held = self._held
        if held is None:
            held = self._held = []
            asyncio.get_running_loop().call_soon(self.flush)
        held += (b"%x\r\n" % len(body), body, b"\r\n")
        self._size += len(body)
        if self._size > _MOST_HELD:
            self.flush()
        return True

    def flush(self) -> None:
        """Write the parts that are held back."""
        held, self._held, self._size = self._held, None, 0
        if held and not self.disconnected and not self.transport.is_closing():
            self.transport.write(b"".join(held))

    def watch(self, on_gone: Callable[[], None]) -> bool:
        """Call back when the client leaves; what is left of a body would have to be read before that is seen."""
        if self._on_gone is not None or self.more_body or self.response_complete:
            return False
        if self.disconnected:
            asyncio.get_running_loop().call_soon(self.tell_gone)
        self._on_gone = on_gone
        self.flow.resume_reading()
        return True

    def watch_no_more(self) -> None:
        """Call nobody back."""
        self._on_gone = None

    def tell_gone(self) -> None:
        """Tell who watches that the client has left."""
        if self._on_gone is not None:
            self._on_gone()

    async def send(self, message: Any) -> None:
        """Send, behind what was held back."""
        if self._held:
            self.flush()
        await super().send(message)


class OldCycle(RequestResponseCycle):
    """An answer to a client of HTTP/1.0, which knows no chunks: one of unknown length lasts until the connection ends."""

    _endless = False

    async def send(self, message: Any) -> None:
        """Send; uvicorn's own would announce chunks, and send them."""
        if message["type"] == "http.response.start":
            self._endless = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            if self._endless:
                self.chunked_encoding = False
        elif self._endless:
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
