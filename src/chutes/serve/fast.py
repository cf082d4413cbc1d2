"""The short way of a common cord: from the body's bytes to the answer's, without FastAPI's request machinery.

Whatever is unusual about a request (its content type, its input, an exception) takes the long way: the request is
replayed into FastAPI's own route, or the exception raised inside FastAPI's own stack. So every answer is FastAPI's, and
the short way only has to be right about good requests.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import fastapi
from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from chutes.errors import QueueFull
from chutes.serve.annotations import is_dict
from chutes.serve.answers import is_picture
from chutes.serve.binding import REQUEST
from chutes.serve.calls import CordCall
from chutes.serve.disconnects import ClientGone, Disconnects
from chutes.serve.exchange import Exchange, exchange_of
from chutes.serve.streaming import is_stream

if TYPE_CHECKING:
    from chutes.serve.cords import CordRoute

__all__ = ["Detour", "FastCord", "fast_cord", "is_tested_version"]

_TESTED_MINORS = range(133, 166)
_JSON_TYPES = frozenset(
    {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
)
_JSON_HEADER = (b"content-type", b"application/json")
_DATA = frozenset({dict, list, tuple, str, int, float, bool, type(None)})
_PLAIN = (str, int, float, bool, type(None))


class Detour(Exception):  # noqa: N818 - control flow, no error
    """The request takes the long way: with the body once more, and with the exception to raise there, if any."""

    def __init__(self, receive: Receive, error: Exception | None = None) -> None:
        super().__init__()
        self.receive = receive
        self.error = error


def is_tested_version() -> bool:
    """Whether the short way was tested with the installed FastAPI; says so in the log when it was not."""
    major, minor = (int(part) for part in fastapi.__version__.split(".")[:2])
    if major == 0 and minor in _TESTED_MINORS:
        return True
    logging.getLogger("chutes.serve").warning(
        "FastAPI %s was not tested with this version of chutes: cords take FastAPI's own way, which is slower.",
        fastapi.__version__,
    )
    return False


def fast_cord(route: "CordRoute", call: CordCall) -> "FastCord | None":
    """The short way of a cord; None when only FastAPI can read what the cord takes.

    Eligible is a cord without `Depends`, forms, files, headers, cookies, placeholders and an injected `Response`, whose
    input is one JSON body or query parameters that occur once each.
    """
    reader = _reader(route, call)
    if reader is None or "{" in route.path or call.answers.response_class is not None:
        return None
    return FastCord(call, reader)


class FastCord:
    """An ASGI application for the good requests of one cord."""

    __slots__ = ("_admission", "_call", "_meter", "_plain", "_read", "_stream", "_takes_request")

    def __init__(self, call: CordCall, reader: "Reader") -> None:
        self._call = call
        self._read = reader
        self._admission = call.served.admission
        self._meter = call.served.meters.of(call.cord)
        self._stream = call.cord.stream
        self._takes_request = call.binding.takes_request
        self._plain = _plain_messages(call)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            Detour: FastAPI's own way has to answer; nothing was sent yet.
        """
        exchange = exchange_of(scope)
        exchange.meter = self._meter
        try:
            self._admission.check()
            values, receive = await self._read(scope, receive)
            exchange.disconnects = disconnects = Disconnects(receive)
            if self._takes_request:
                values[REQUEST] = Request(scope, disconnects.receive)
            result = await self._call.result(exchange, disconnects, values)
            await self._answer(exchange, disconnects, result, scope, send)
        except Detour:
            raise
        except ClientGone:
            self._call.note_gone(scope["path"])
            await Response(status_code=499)(scope, receive, send)
        except QueueFull as full:
            self._meter.refused += 1
            raise Detour(receive, HTTPException(full.status, full.detail, full.headers)) from None
        except Exception as error:
            if exchange.answering:
                raise
            raise Detour(receive, error) from None
        finally:
            if exchange.place is not None:
                exchange.place.leave()

    async def _answer(
        self, exchange: Exchange, disconnects: Disconnects, result: Any, scope: Scope, send: Send
    ) -> None:
        if not _is_data(result) and (
            isinstance(result, Response) or is_stream(result, asked=self._stream) or is_picture(result)
        ):
            response = await self._call.response(exchange, disconnects, result, _nothing_injected())
            exchange.answering = True
            await response(scope, disconnects.receive, send)
            return
        if exchange.place is not None:
            exchange.place.leave()
        start, body = self._plain(result)
        exchange.answering = True
        await send(start)
        await send(body)


Reader = Callable[[Scope, Receive], Awaitable[tuple[dict[str, Any], Receive]]]


def _reader(route: "CordRoute", call: CordCall) -> Reader | None:
    """What reads the values of a request, when the cord takes nothing that only FastAPI can read."""
    dependant, binding = route.dependant, call.binding
    unusual = (
        dependant.path_params, dependant.header_params, dependant.cookie_params, dependant.dependencies,
        dependant.background_tasks_param_name, dependant.security_scopes_param_name, dependant.http_connection_param_name,
        binding.in_form, binding.takes_response, getattr(route, "_embed_body_fields", False),
    )  # fmt: skip
    if any(unusual) or len(dependant.body_params) > 1 or (dependant.body_params and dependant.query_params):
        return None
    if dependant.body_params:
        return _body_reader(dependant.body_params[0])
    if dependant.query_params:
        return _query_reader(dependant.query_params)
    return _nothing_reader


def _body_reader(field: Any) -> Reader | None:
    annotation = field.field_info.annotation
    validate = _validator(annotation, field)
    if validate is None:
        return None
    name = field.name

    async def read(scope: Scope, receive: Receive) -> tuple[dict[str, Any], Receive]:
        for header, value in scope["headers"]:
            if header == b"content-type":
                if value in _JSON_TYPES:
                    break
                raise Detour(receive)
        else:
            raise Detour(receive)
        message = await receive()
        body = message.get("body", b"")
        if message.get("more_body", False) or message["type"] != "http.request":
            body, receive = await _rest_of_body(message, receive)
        replay = Replay(body, receive)
        try:
            value = validate(from_json(body))
        except (ValueError, RecursionError):
            raise Detour(replay) from None
        return {name: value}, replay

    return read


def _query_reader(fields: list[Any]) -> Reader | None:
    wanted = []
    for field in fields:
        default = None if field.field_info.is_required() else field.get_default()
        if not isinstance(default, _PLAIN) or _is_sequence(field.field_info.annotation):
            return None
        wanted.append((field.name, field.alias, field.field_info.is_required(), default, field.validate))

    async def read(scope: Scope, receive: Receive) -> tuple[dict[str, Any], Receive]:
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(pairs)
        if len(given) < len(pairs):
            raise Detour(receive)
        values = {}
        for name, alias, required, default, validate in wanted:
            if alias in given:
                values[name], errors = validate(given[alias], {}, loc=("query", alias))
                if errors:
                    raise Detour(receive)
            elif required:
                raise Detour(receive)
            else:
                values[name] = default
        return values, receive

    return read


async def _nothing_reader(_scope: Scope, receive: Receive) -> tuple[dict[str, Any], Receive]:
    return {}, receive


class Replay:
    """A `receive` that gives a body once more, then what comes after it."""

    __slots__ = ("_body", "_receive")

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        """The next message."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _rest_of_body(message: Message, receive: Receive) -> tuple[bytes, Receive]:
    """The whole body of a request that comes in several messages.

    Raises:
        Detour: the client left in the middle; FastAPI's own way knows what to do.
    """
    seen, parts = [], []
    while True:
        seen.append(message)
        if message["type"] != "http.request":
            raise Detour(_again(seen, receive))
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts), receive
        message = await receive()


def _again(seen: list[Message], receive: Receive) -> Receive:
    left = list(seen)

    async def again() -> Message:
        return left.pop(0) if left else await receive()

    return again


def _validator(annotation: Any, field: Any) -> Callable[[Any], Any] | None:
    """Validates what `from_json` gives, as FastAPI's own field does."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation.__pydantic_validator__.validate_python
    if is_dict(annotation) and annotation in (dict, dict[str, Any]) and not field.field_info.metadata:
        return TypeAdapter(dict[str, Any] if annotation is not dict else dict).validator.validate_python
    return None


def _is_sequence(annotation: Any) -> bool:
    text = str(annotation)
    return any(word in text for word in ("list", "List", "set", "Set", "tuple", "Tuple", "Sequence", "deque"))


def _is_data(result: Any) -> bool:
    """Whether a result is plain at first sight: most are."""
    kind = type(result)
    return kind in _DATA or hasattr(kind, "__pydantic_serializer__")


def _nothing_injected() -> Response:
    """A response parameter on which nobody set anything, as FastAPI makes one."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment] # FastAPI's way of saying that nobody set it
    return response


def _plain_messages(call: CordCall) -> Callable[[Any], tuple[Message, Message]]:
    """The two messages that answer with a plain result."""
    answers = call.answers
    direct = answers.content_type == "application/json" and answers.response_class is None
    direct = direct and answers.status_code == HTTPStatus.OK
    ending: dict[str, Any] = {"type": "http.response.body"}

    def plain(result: Any) -> tuple[Message, Message]:
        if direct:
            body = answers.json_body(result)
            headers = [(b"content-length", b"%d" % len(body)), _JSON_HEADER]
            return {"type": "http.response.start", "status": 200, "headers": headers}, {
                **ending,
                "body": body,
            }
        response = answers.respond(result, _nothing_injected())
        start = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
        return start, {**ending, "body": response.body}

    return plain
