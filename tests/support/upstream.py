"""A server to which passthrough cords forward in tests; it says what it was asked, and answers as it is told."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from chutes.chute import Chute
from support.http_servers import asgi_server


@dataclass
class Upstream:
    """An ASGI application, and what it has seen.

    `X-Answer` of a request is the answer as JSON: `status`, `headers`, `body` in base64, `chunks`. Without it the request
    itself is told, as JSON. `/slow…` streams events until its client leaves.
    """

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    begun: int = 0
    left: int = 0
    sent: int = 0
    received: int = 0
    holds: bool = False

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.begun += 1
        if scope["path"].startswith("/slow"):
            await self._stream(receive, send)
            return
        body = await self._read(scope, receive)
        if body is None:
            self.left += 1
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        seen = {
            "method": scope["method"],
            "path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode("latin-1"),
            "headers": headers,
            "body": base64.b64encode(body).decode(),
        }
        self.requests.append(seen)
        told = dict(headers).get("x-answer")
        await _answer(json.loads(base64.b64decode(told)) if told else _telling(seen), send)

    async def _read(self, scope: Any, receive: Any) -> bytes | None:
        parts = []
        while True:
            while self.holds and self.received:
                await asyncio.sleep(0.01)
            message = await receive()
            if message["type"] != "http.request":
                return None
            parts.append(message.get("body", b""))
            self.received += len(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _stream(self, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})

        async def leave() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        gone = asyncio.create_task(leave())
        while not gone.done():
            self.sent += 1
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % self.sent, "more_body": True})
            await asyncio.wait([gone], timeout=0.01)
        self.left += 1


def answer(status: int = 200, body: bytes = b"", *, chunks: int = 0, **headers: str) -> dict[str, str]:
    """The request header that asks the upstream for an answer; `chunks` of the body, or all of it at once."""
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return {"X-Answer": encoded(status, given, body, chunks)}


def encoded(status: int, headers: list[tuple[str, str]], body: bytes, chunks: int = 0) -> str:
    """What `X-Answer` says."""
    told = {"status": status, "headers": headers, "body": base64.b64encode(body).decode(), "chunks": chunks}
    return base64.b64encode(json.dumps(told).encode()).decode()


def forward(chute: Chute, path: str, port: int | None, name: str = "", **options: Any) -> None:
    """Give `chute` a cord that forwards to a port; it has a name of its own where none is given."""

    async def cord(self, *arguments):
        raise AssertionError("The function of a passthrough cord is not called.")

    cord.__name__ = name or re.sub(r"\W+", "_", f"{options.get('method', 'post')}_{path}_{len(chute.cords)}")
    chute.cord(path, passthrough=True, passthrough_port=port, **options)(cord)


@contextmanager
def upstream() -> Iterator[Upstream]:
    """One that listens."""
    told = Upstream()
    with asgi_server(told) as url:
        told.url = url
        yield told


def _telling(seen: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(seen).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    return {"status": 200, "headers": headers, "body": base64.b64encode(body).decode(), "chunks": 0}


async def _answer(told: dict[str, Any], send: Any) -> None:
    headers = [(name.encode(), value.encode()) for name, value in told["headers"]]
    await send({"type": "http.response.start", "status": told["status"], "headers": headers})
    body, chunks = base64.b64decode(told["body"]), told["chunks"]
    if chunks:
        size = max(1, -(-len(body) // chunks))
        for start in range(0, len(body), size):
            await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
        body = b""
    await send({"type": "http.response.body", "body": body})
