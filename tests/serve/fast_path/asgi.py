"""One request to an ASGI application, and all that it answered."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from chutes.serve.cords import CordRoute

JSON = (b"content-type", b"application/json")
MARK = (b"x-request-id", b"call-1")
SECONDS = 10

# FastAPI's own way through a route leaves this in the scope.
_ROUTE_MARK = "fastapi_inner_astack"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request.

    Attributes:
        chunks: the body's parts, one message each.
        leaves: the client leaves "before" its body, "within" it (in place of the last part), or "after" it, and is
            noticed at once; otherwise when the answer is complete.
        bare: messages leave out what ASGI lets them leave out.
    """

    path: str = "/run"
    method: str = "POST"
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = (JSON, MARK)
    chunks: tuple[bytes, ...] = (b"{}",)
    http_version: str = "1.1"
    root_path: str = ""
    leaves: str = ""
    bare: bool = False
    extensions: dict[str, Any] | None = None

    def scope(self) -> dict[str, Any]:
        """What a server says of the request."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self.http_version,
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(errors="replace"),
            "query_string": self.query,
            "root_path": self.root_path,
            "headers": list(self.headers),
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "state": {"from_the_server": True},
        } | ({"extensions": self.extensions} if self.extensions is not None else {})

    def messages(self) -> list[dict[str, Any]]:
        """What `receive` gives before it waits for the client to leave."""
        if self.leaves == "before":
            return [{"type": "http.disconnect"}]
        parts = [_part(body, more=True, bare=self.bare) for body in self.chunks[:-1]]
        if self.leaves == "within":
            return [*parts, {"type": "http.disconnect"}]
        return [*parts, _part(self.chunks[-1], more=False, bare=self.bare)]


@dataclass(kw_only=True)
class Answer:
    """What came of a request.

    Attributes:
        messages: all that was sent, in order.
        error: what the application raised.
        short: a cord answered, and FastAPI's own way to it was not taken.
        route: what the scope says of the route afterwards.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    error: BaseException | None = None
    short: bool = False
    route: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The status, 0 when none was sent."""
        return self.messages[0]["status"] if self.messages else 0

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers, none when nothing was sent."""
        return self.messages[0]["headers"] if self.messages else []

    @property
    def body(self) -> bytes:
        """All parts of the body."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])


async def drive(app: Any, call: Call) -> Answer:
    """Makes the call as a server does."""
    answer, coming, complete = Answer(), call.messages(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if coming:
            return coming.pop(0)
        if not call.leaves:
            await complete.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        kept = dict(message)
        if "headers" in kept:
            kept["headers"] = list(kept["headers"])
        answer.messages.append(kept)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            complete.set()

    scope = call.scope()
    async with asyncio.timeout(SECONDS):
        try:
            await app(scope, receive, send)
        except Exception as error:
            answer.error = error
    answer.short = isinstance(scope.get("route"), CordRoute) and _ROUTE_MARK not in scope
    answer.route = {name: scope.get(name) for name in ("endpoint", "route", "path_params", "router")}
    return answer


def _part(body: bytes, *, more: bool, bare: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "http.request", "body": body, "more_body": more}
    if bare and not more:
        del message["more_body"]
    if bare and not body:
        del message["body"]
    return message
