"""One request and its answer, as every layer between the server and the cord knows them."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from chutes.serve.disconnects import Disconnects, Gone
from chutes.serve.lifecycle import Lifecycle, State

if TYPE_CHECKING:
    from chutes.serve.admission import Place
    from chutes.serve.metrics import CordMeter

__all__ = ["Exchange", "Headers", "OwnExchange", "Wire", "exchange_of", "shown_path"]

_KEY = "chutes.exchange"
_ID_HEADER = b"x-request-id"
# To look up an enum's member costs as much as all the rest of the question.
_DRAINING = State.DRAINING

Headers = list[tuple[bytes, bytes]]


class Wire(Gone):
    """The server's end of one exchange, where the server is our own: ways that cost less than ASGI's messages.

    Each of them says whether it did; where it did not, for a client that reads slowly, say, ASGI's way is the one to go.
    """

    __slots__ = ()

    def request(self) -> Message | None:
        """The one message that `receive` would give at once; None when it would not. Nothing may have been received yet."""
        raise NotImplementedError

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Send a whole answer, whose headers are known to be valid."""
        raise NotImplementedError

    def part(self, body: bytes) -> bool:
        """Send a part of a stream that has begun; it may be held back until the loop gets to something else."""
        raise NotImplementedError

    def flush(self) -> None:
        """Hold nothing back any more."""
        raise NotImplementedError


class Exchange:
    """What is known about one request while it is answered.

    Args:
        request_id: the client's or one that was made up.
        send: the server's own.
        lifecycle: the chute's; None when the application is served without the chute around it.

    Attributes:
        direct: nothing stands between the server and the cord.
        is_whole: what the server receives is what the cord does: the wire may be asked for it.
        has_json: the one content type that the client named says that its body is JSON, in the most common way.
        wire: the server's own end; None when it is none of ours, or somebody stands before it.
        called: the cord's function may have run.
        answering: the cord has begun to answer.
        status: of the answer, 0 until it reaches the server.
        deadline: when the answer must be there, in seconds of the event loop's clock; None sets no limit.
        complete: the last part of the answer is on its way.
    """

    __slots__ = (
        "_lifecycle", "answering", "called", "complete", "deadline", "direct", "disconnects", "has_json", "is_whole",
        "meter", "place", "request_id", "send", "since", "status", "wire",
    )  # fmt: skip

    def __init__(self, request_id: str, send: Send, lifecycle: Lifecycle | None = None) -> None:
        self.request_id = request_id
        self.send = send
        end = getattr(send, "__self__", None)
        self.wire: Wire | None = end if isinstance(end, Wire) else None
        self.since = time.perf_counter()
        self.direct = False
        self.has_json = False
        self.is_whole = False
        self.called = False
        self.answering = False
        self.status = 0
        self.complete = False
        self.deadline: float | None = None
        self.meter: CordMeter | None = None
        self.place: Place | None = None
        self.disconnects: Disconnects | None = None
        self._lifecycle = lifecycle

    def attach(self, scope: Scope, values: Mapping[str, Any]) -> None:
        """Make this the exchange of `scope`; `request.state` gets its id, and what the lifespan yielded."""
        scope[_KEY] = self
        scope["state"] = {**scope.get("state", {}), **values, "request_id": self.request_id}

    def watch(self, receive: Receive) -> Disconnects:
        """What notices that the client leaves; most requests are over before anybody asks."""
        if self.disconnects is None:
            self.disconnects = Disconnects(receive, self.wire if self.direct else None)
        return self.disconnects

    def begin(self, status: int, headers: Headers) -> Message:
        """The message that begins the answer, with the headers that every answer has."""
        self.status = status
        headers.append((_ID_HEADER, self.request_id.encode()))
        if self._lifecycle is not None and self._lifecycle.state is _DRAINING:
            # Clients with a kept-alive connection go to another replica with their next request.
            headers.append((b"connection", b"close"))
        return {"type": "http.response.start", "status": status, "headers": headers}

    async def track(self, message: Message) -> None:
        """The `send` of every application inside: notes how far the answer is."""
        if message["type"] == "http.response.start":
            headers = [header for header in message.get("headers", ()) if header[0] != _ID_HEADER]
            message["headers"] = self.begin(message["status"], headers)["headers"]
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            self.complete = True
        await self.send(message)


class OwnExchange(Exchange):
    """A request that the chute makes to itself before it is ready: the first call may take its time."""

    __slots__ = ()


def shown_path(scope: Scope) -> str:
    """The path as a log line shows it: what a client sends in it cannot begin a line, or speak to a terminal."""
    return quote(scope["path"], safe="/:@!$&'()*+,;=~")


def exchange_of(scope: Scope) -> Exchange:
    """The exchange of a request; a new one when the application is served without the chute around it."""
    found: Exchange | None = scope.get(_KEY)
    if found is None:
        found = scope[_KEY] = Exchange(request_id="", send=_nowhere)
    return found


async def _nowhere(
    _message: Message,
) -> None:  # pragma: no cover - only an exchange that the chute made is sent through
    """The `send` of an exchange that knows no server."""
