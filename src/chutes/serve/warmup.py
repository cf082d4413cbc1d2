"""One real call of each cord that has an example, before the chute is ready."""

import asyncio
import json
import logging
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic_core import PydanticSerializationError
from starlette.types import Message, Scope

from chutes.chute.cord import Cord
from chutes.chute.warmup import is_model
from chutes.errors import StartupError
from chutes.json_values import encode_json
from chutes.serve.binding import BODY_VERBS, bind
from chutes.serve.exchange import OwnExchange
from chutes.serve.logs import current_request_id
from chutes.serve.streaming import StreamAborted

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["warm_up", "warmup_arguments"]

_MOST_CHUNKS = 16
_END_SECONDS = 5.0
_LONGEST_DETAIL = 500
_SCHEMA_KEYS = frozenset({"$defs", "$ref", "$schema", "allOf", "anyOf", "oneOf", "properties"})
_SCHEMA_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})


async def warm_up(served: "ServedChute") -> None:
    """Call each cord that has arguments for it, in the order in which they are written.

    The calls take the whole way of a request, apart from API keys, deadlines and counts.

    Raises:
        StartupError: a call failed; what the user's code raised is the cause.
    """
    if not served.takes_requests:
        return
    calls = [(cord, given) for cord in served.chute.cords if (given := warmup_arguments(cord)) is not None]
    for cord, arguments in calls:
        begun = time.perf_counter()
        await _warm(served, cord, arguments)
        logging.getLogger("chutes.serve").info(
            "Warmed up cord %r in %.2f s.", cord.name, time.perf_counter() - begun
        )
    if calls:
        # First calls are slow: they say nothing of those to come.
        served.forget_measurements()


def warmup_arguments(cord: Cord) -> Any:
    """What a cord is called with before the chute is ready; None when it is not called."""
    if cord.warmup is False:
        return None
    if cord.warmup is not None:
        return cord.warmup
    example = cord.minimal_input_schema
    if not is_model(example) and (not isinstance(example, Mapping) or _is_json_schema(example)):
        return None
    unsendable = cord.passthrough or "{" in cord.path or bind(cord, frozenset()).in_form
    return None if unsendable else example


def _is_json_schema(example: Mapping[str, Any]) -> bool:
    kind = example.get("type")
    return bool(_SCHEMA_KEYS & example.keys()) or (isinstance(kind, str) and kind in _SCHEMA_TYPES)


async def _warm(served: "ServedChute", cord: Cord, arguments: Any) -> None:
    client = _Client(cord, _plain(cord, arguments, is_twin=_is_twin(served, cord)))
    task = asyncio.create_task(client.call(served))
    enough = asyncio.create_task(client.has_enough.wait())
    try:
        await asyncio.wait([task, enough], return_when=asyncio.FIRST_COMPLETED)
    finally:
        enough.cancel()
        task.cancel()
        await asyncio.wait([task, enough], timeout=_END_SECONDS)
    if not task.done():
        raise _failed(cord, "its stream goes on though it was cancelled")
    if not task.cancelled() and (error := task.exception()) is not None:
        cause = (error.__cause__ or error) if isinstance(error, StreamAborted) else error
        raise _failed(cord, f"{type(cause).__name__}: {cause}") from cause
    if not client.status:
        raise _failed(cord, "it gave no answer")
    if client.status >= HTTPStatus.BAD_REQUEST:
        _judge(cord, client)


def _judge(cord: Cord, client: "_Client") -> None:
    """Fail, unless a guard of the user's own refused a call that nobody asked for: that says nothing of the model."""
    answer = f"{client.status} {client.detail()}".rstrip()
    if cord.warmup is not None or client.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise _failed(cord, answer)
    logging.getLogger("chutes.serve").warning(
        "Cord %r is not warmed up: its call was refused with %s. Write warmup=False to have none made.",
        cord.name,
        answer,
    )


def _failed(cord: Cord, what: str) -> StartupError:
    source = "minimal_input_schema" if cord.warmup is None else "warmup"
    return StartupError(
        f"The warm-up call of cord {cord.name!r} failed: {what.rstrip('.')}. "
        f"Its arguments are from {source}=; warmup=False makes no call."
    )


def _is_twin(served: "ServedChute", cord: Cord) -> bool:
    return any(other is not cord and other.key == cord.key for other in served.chute.cords)


def _plain(cord: Cord, arguments: Any, *, is_twin: bool) -> Any:
    """The arguments as JSON has them."""
    try:
        plain = json.loads(encode_json(arguments))
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise _failed(cord, f"{arguments!r} cannot be written as JSON ({error})") from None
    if is_twin and isinstance(plain, dict):
        plain["stream"] = cord.stream
    return plain


class _Client:
    """Who makes one call: it sends the arguments, and reads the answer or the first chunks of it.

    Attributes:
        status: of the answer; 0 until it comes.
        has_enough: no more of the answer is wanted.
    """

    def __init__(self, cord: Cord, arguments: Any) -> None:
        self.status = 0
        self.has_enough = asyncio.Event()
        self._cord = cord
        self._in_body = cord.method in BODY_VERBS
        self._body = encode_json(arguments) if self._in_body else b""
        self._query = b"" if self._in_body else _query(arguments).encode()
        self._unread = [{"type": "http.request", "body": self._body, "more_body": False}]
        self._chunks: list[bytes] = []

    async def call(self, served: "ServedChute") -> None:
        """Make the call; what the application raises is raised."""
        exchange = OwnExchange(f"warmup-{self._cord.name}", self._send)
        current_request_id.set(exchange.request_id)
        scope = self._scope()
        exchange.attach(scope, served.lifecycle.values)
        front = served.front
        exchange.direct = front is not served.app
        try:
            await front(scope, self._receive, exchange.track)
        except SystemExit as error:
            # It would end the process as if it had done its work.
            raise RuntimeError(f"it ended the program: {error!r}") from error

    def detail(self) -> str:
        """The answer's own words for what is wrong."""
        text = b"".join(self._chunks).decode(errors="replace")
        try:
            detail = json.loads(text)["detail"]
        except (ValueError, KeyError, TypeError):
            detail = text
        if isinstance(detail, list):
            detail = "; ".join(_complaint(one) for one in detail)
        return str(detail)[:_LONGEST_DETAIL]

    def _scope(self) -> Scope:
        headers = [(b"host", b"localhost"), (b"user-agent", b"chutes-warmup"), (b"accept", b"*/*")]
        if self._in_body:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self._body))]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": self._cord.method,
            "scheme": "http",
            "path": self._cord.path,
            "raw_path": self._cord.path.encode(),
            "query_string": self._query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 80),
            # A stream of events tells of its errors in itself: they are wanted as exceptions.
            "extensions": {"chutes.raise_errors": {}},
        }

    async def _receive(self) -> Message:
        if self._unread:
            return self._unread.pop()
        # It stays until the answer is whole.
        await asyncio.Event().wait()
        raise RuntimeError("Nobody sets that event.")  # pragma: no cover

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif body := message.get("body"):
            self._chunks.append(body)
            if len(self._chunks) >= _MOST_CHUNKS:
                self.has_enough.set()


def _query(arguments: Any) -> str:
    """The arguments as a query string: an item of a list comes once for itself, anything nested is JSON."""
    return urlencode([*_pairs(arguments)]) if isinstance(arguments, dict) else ""


def _pairs(arguments: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in arguments.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield name, one if isinstance(one, str) else json.dumps(one)


def _complaint(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    place = ".".join(str(part) for part in error.get("loc", ()))
    return f"{place}: {error.get('msg', '')}"
