"""The chute's own errors in the form of the OpenAI API, on the paths of that API: its clients read no other."""

import json
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from chutes.client.answer import readable
from chutes.json_values import encode_json
from chutes.serve.entry import Entry
from chutes.serve.holding import HeldAnswer, starting_answer

__all__ = ["OpenAIEntry", "is_openai_path", "openai_error", "starting_openai_answer"]

_PREFIX = "/v1/"
_BESIDE = frozenset({"/tokenize", "/detokenize"})
_LONGEST = 1024 * 1024
_BAD, _FAILED = 400, 500
_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    422: "invalid_request",
    499: "client_closed_request",
    502: "engine_failed",
    503: "unavailable",
    504: "timeout",
}


def is_openai_path(path: str) -> bool:
    """Whether a client of the OpenAI API waits for the answer."""
    return path.startswith(_PREFIX) or path in _BESIDE


def openai_error(status: int, body: dict[str, Any]) -> dict[str, Any]:
    """`{"detail": ...}` as `{"error": {"message", "type", "param", "code"}}`; whatever else the body has stays."""
    detail = body["detail"]
    rest = {name: value for name, value in body.items() if name != "detail"}
    if isinstance(detail, dict) and "message" in detail:
        return {"error": detail, **rest}
    message = readable(detail or HTTPStatus(status).phrase)
    kind = "server_error" if status >= _FAILED else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": _CODES.get(status)}, **rest}


def starting_openai_answer(method: str, path: str) -> HeldAnswer:
    """What a chute with an engine answers while that starts."""
    held = starting_answer(method, path)
    if not is_openai_path(path.partition("?")[0]):
        return held
    body = encode_json(openai_error(held.status, json.loads(held.body)))
    return HeldAnswer(status=held.status, headers=held.headers, body=body)


class OpenAIEntry(Entry):
    """The entry of a chute that has an engine."""

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_openai_path(self._route_path(scope)):
            send = _Translation(send).send
        await super()._http(scope, receive, send)


class _Translation:
    """Holds an answer back that may have to be said in other words; any other goes by as it is."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body: list[bytes] = []

    def send(self, message: Message) -> Awaitable[None]:
        """What stands for the server's `send`."""
        if self._start is not None or (message["type"] == "http.response.start" and _may_be_ours(message)):
            return self._hold(message)
        return self._send(message)

    async def _hold(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body.append(message.get("body", b""))
        size = sum(map(len, self._body))
        if message.get("more_body", False) and size <= _LONGEST:
            return
        start, self._start = self._start, None
        assert start is not None  # noqa: S101 - nothing else leads here
        body = b"".join(self._body)
        said = None if message.get("more_body", False) else _said_otherwise(start["status"], body)
        if said is not None:
            own = [(b"content-type", b"application/json"), (b"content-length", str(len(said)).encode())]
            headers = [one for one in start["headers"] if one[0] not in (b"content-type", b"content-length")]
            start, body = {**start, "headers": [*headers, *own]}, said
        await self._send(start)
        await self._send({**message, "body": body})


def _may_be_ours(start: Message) -> bool:
    kinds = (value for name, value in start.get("headers", ()) if name == b"content-type")
    return start["status"] >= _BAD and next(kinds, b"").startswith((b"application/json", b"text/plain"))


def _said_otherwise(status: int, body: bytes) -> bytes | None:
    """The body in OpenAI's form; None where it is in that already, or in one that nobody knows."""
    try:
        found = json.loads(body)
    except ValueError:
        # An engine that fails says so in plain words.
        found = {"detail": body.decode(errors="replace").strip()}
    if not isinstance(found, dict) or "error" in found or "detail" not in found:
        return None
    return encode_json(openai_error(status, found))
