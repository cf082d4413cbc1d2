"""The body of a forwarded call on its way from the client, and whether the client is still there."""

import asyncio
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive

from chutes.serve.body import Body
from chutes.serve.disconnects import ClientGone, Disconnects, Gone

__all__ = ["Upload"]

_MOST_AHEAD = 256 * 1024


class Upload(Disconnects):
    """One request's `receive`, read ahead by a bounded number of bytes: an upstream that reads slowly slows the client.

    Args:
        receive: the server's own.
        server: tells by itself that the client has left; None where nothing does.

    Attributes:
        whole: all of the body, once that is known.
    """

    __slots__ = ("_failure", "_held", "_room", "whole")

    def __init__(self, receive: Receive, server: Gone | None = None) -> None:
        super().__init__(receive, server)
        self.whole: bytes | None = None
        self._held = 0
        self._room: asyncio.Event | None = None
        self._failure: HTTPException | None = None

    def take_over(self, request: Request) -> bool:
        """Whether somebody, a dependency for one, has read the body of `request`: then it is sent from there."""
        read: bytes | None = getattr(request, "_body", None)
        self.whole = read
        return read is not None

    async def begin(self) -> None:
        """Wait for the first part of the body, which most often is all of it.

        Raises:
            ClientGone: the client left.
            HTTPException: the body is too large.
        """
        message = await self.receive()
        if message["type"] != "http.request":
            raise ClientGone
        if message.get("more_body", False):
            self._ahead.appendleft(message)
            self._held += len(message.get("body", b""))
        else:
            self.whole = message.get("body", b"")

    def pass_on(self) -> None:
        """Say that no part is kept: a body that only passes through is no burden for the memory."""
        owner = getattr(self._receive, "__self__", None)
        while isinstance(owner, Disconnects):
            owner = getattr(owner._receive, "__self__", None)  # noqa: SLF001 - one of our own class
        if isinstance(owner, Body):
            owner.pass_on()

    async def parts(self) -> AsyncIterator[bytes]:
        """The body, part by part.

        Raises:
            ClientGone: the client left before its end.
            HTTPException: the body is too large.
        """
        self.pass_on()
        more = True
        while more:
            message = await self.receive()
            if message["type"] != "http.request":
                self.told = True
                raise ClientGone
            more = message.get("more_body", False)
            if body := message.get("body", b""):
                yield body

    async def receive(self) -> Message:
        """The next message: those read ahead first."""
        if not self._ahead and self._failure is None:
            async with self._reading:
                if not self._ahead and self._failure is None:
                    return self._noticed(await self._receive())
        if not self._ahead:
            raise self._failure or ClientGone
        message = self._ahead.popleft()
        self._held -= len(message.get("body", b""))
        if self._room is not None:
            self._room.set()
        return message

    async def until_gone(self) -> None:
        """Read ahead until the client leaves, as far as there is room.

        Raises:
            HTTPException: the body is too large; whoever reads it is told so, too.
        """
        while not self.gone:
            await self._has_room()
            async with self._reading:
                try:
                    message = self._noticed(await self._receive())
                except HTTPException as error:
                    self._failure = error
                    raise
            self._held += len(message.get("body", b""))
            self._ahead.append(message)

    async def _has_room(self) -> None:
        while self._held >= _MOST_AHEAD:
            if self._room is None:
                self._room = asyncio.Event()
            self._room.clear()
            await self._room.wait()
