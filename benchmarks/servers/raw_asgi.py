"""The limit: plain ASGI that does the same pydantic work by hand and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from benchmarks.servers.payloads import SLEEP_SECONDS, TOKENS, Answer, Prompt, answer, answer_dict

_JSON = (b"content-type", b"application/json")
_read = Prompt.__pydantic_validator__.validate_json
_write = Answer.__pydantic_serializer__.to_json

Handler = Callable[[dict, bytes], Awaitable[bytes]]


class Query(BaseModel):
    prompt: str
    max_tokens: int = 100


_read_query = Query.__pydantic_validator__.validate_strings


async def _model(_scope: dict, body: bytes) -> bytes:
    return _write(answer(_read(body).prompt))


async def _fields(_scope: dict, body: bytes) -> bytes:
    return to_json(answer_dict(_read(body).prompt))


async def _dict(_scope: dict, body: bytes) -> bytes:
    return to_json(answer_dict(from_json(body)["prompt"]))


async def _query(scope: dict, _body: bytes) -> bytes:
    query = _read_query(dict(parse_qsl(scope["query_string"].decode("latin-1"))))
    return to_json(answer_dict(query.prompt))


async def _nothing(_scope: dict, _body: bytes) -> bytes:
    return to_json(answer_dict("hello world"))


async def _in_thread(_scope: dict, body: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    return _write(await loop.run_in_executor(None, answer, _read(body).prompt))


async def _sleep(_scope: dict, _body: bytes) -> bytes:
    await asyncio.sleep(SLEEP_SECONDS)
    return b'{"ok":true}'


HANDLERS: dict[str, Handler] = {
    "/model": _model,
    "/fields": _fields,
    "/dict": _dict,
    "/query": _query,
    "/nothing": _nothing,
    "/request": _model,
    "/sync": _in_thread,
    "/sleep": _sleep,
}


async def app(scope: dict, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    path = scope["path"]
    if path == "/stream":
        await _stream(send)
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    content = await HANDLERS[path](scope, body)
    headers = [(b"content-length", b"%d" % len(content)), _JSON]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _stream(send: Any) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for token in TOKENS:
        event = b"data: " + to_json({"token": token}) + b"\n\n"
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _lifespan(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
