"""Requests to an ASGI application without a server and a socket between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.forms import Form

__all__ = ["request", "running"]

# No HTTPStatus: comparing with it costs as much as a part of the request.
_OK = 200

Application = Callable[[dict, Any, Any], Awaitable[None]]


class _Client:
    """The server's side of one request: gives the body once, keeps what was answered."""

    __slots__ = ("body", "ended", "messages")

    def __init__(self, body: bytes) -> None:
        self.body: bytes | None = body
        self.messages: list[dict] = []
        self.ended: asyncio.Future[None] | None = None

    async def receive(self) -> dict:
        body, self.body = self.body, None
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        # The client stays: whoever asks again waits until it is cancelled.
        self.ended = asyncio.get_running_loop().create_future()
        await self.ended
        return {"type": "http.disconnect"}

    async def send(self, message: dict) -> None:
        self.messages.append(message)


def _scope(form: Form) -> dict:
    """What uvicorn says of such a request."""
    headers = [(b"host", b"127.0.0.1:8000"), (b"accept", b"*/*")]
    if form.body:
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", b"%d" % len(form.body)))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "root_path": "",
        "method": form.method,
        "path": form.path,
        "raw_path": form.path.encode(),
        "query_string": form.query.encode(),
        "headers": headers,
        "state": {},
    }


async def request(app: Application, form: Form) -> list[dict]:
    """Send one request; what was answered, as ASGI messages.

    Raises:
        RuntimeError: the answer is no success.
    """
    client = _Client(form.body)
    await app(_scope(form), client.receive, client.send)
    if client.messages[0]["status"] != _OK:
        raise RuntimeError(f"{form.target} was answered with {client.messages!r}.")
    return client.messages


@asynccontextmanager
async def running(app: Application) -> AsyncIterator[None]:
    """Start the application as a server does, and end it."""
    to_app: asyncio.Queue[dict] = asyncio.Queue()
    from_app: asyncio.Queue[dict] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    started = await from_app.get()
    if started["type"] != "lifespan.startup.complete":
        raise RuntimeError(f"The application did not start: {started!r}.")
    yield
    await to_app.put({"type": "lifespan.shutdown"})
    await task
