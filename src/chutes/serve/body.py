"""The limits on the sizes of bodies: of each one, and of all that are on their way at a time."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from chutes.errors import BodyTooLarge

__all__ = ["SMALL", "Bodies", "Body"]

SMALL = 1024 * 1024
"""Bytes of a body that count for nothing: so many are no burden, whatever else is on its way."""
_AT_ONCE = 16


class Bodies:
    """The bodies that are being read.

    However many clients send at a time, memory holds at most `most` bytes of bodies that are not complete yet, small ones
    aside. Complete ones are as many as there are slots and places in the queue.

    Args:
        largest: bytes of one body, at most.
    """

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.most = _AT_ONCE * max(largest, SMALL)
        self.held = 0

    def of(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> "Body | None":
        """The body of a request, None for one that needs no counting.

        Raises:
            BodyTooLarge: the request announces a larger body; it is refused before any of it is read.
        """
        announced = headers.get(b"content-length")
        if announced is None and scope["http_version"] == "1.1" and b"transfer-encoding" not in headers:
            return None
        if announced is not None and announced.isdigit():
            # A server never gives more than was announced.
            size = int(announced)
            if size > self.largest:
                raise BodyTooLarge(self.text)
            if size <= SMALL:
                return None
        return Body(self, receive)

    @property
    def text(self) -> str:
        """What a client is told whose body is too large."""
        return f"The body has more than the {self.largest} bytes that this chute takes (max_body_size)."


class Body:
    """One body while it is read. Whoever made it closes it when the request is over."""

    __slots__ = ("_bodies", "_held", "_kept", "_read", "_receive")

    def __init__(self, bodies: Bodies, receive: Receive) -> None:
        self._bodies = bodies
        self._receive = receive
        self._read = 0
        self._held = 0
        self._kept = True

    def pass_on(self) -> None:
        """Whoever reads it keeps nothing of it."""
        self._kept = False
        self.close()

    async def receive(self) -> Message:
        """The next message of the server.

        Raises:
            HTTPException: the body has become too large, or all those on their way together; it passes through FastAPI's
                reading of the body unchanged.
        """
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._bodies.largest:
            raise HTTPException(BodyTooLarge.status, self._bodies.text)
        if not message.get("more_body"):
            self.close()
        elif self._kept and self._read > SMALL:
            self._hold()
        return message

    def close(self) -> None:
        """It is complete, or nobody reads on."""
        self._bodies.held -= self._held
        self._held = 0

    def _hold(self) -> None:
        self._bodies.held += self._read - self._held
        self._held = self._read
        if self._bodies.held > self._bodies.most:
            self.close()
            text = "Too many large bodies are on their way to this chute. Try again in 1 s."
            raise HTTPException(503, text, {"Retry-After": "1"})
