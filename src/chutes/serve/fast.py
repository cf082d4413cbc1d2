"""The short way of a common cord: from the body's bytes to the answer's, without FastAPI's request machinery.

Whatever is unusual about a request (its content type, its input, an exception) takes the long way: the request is
replayed into FastAPI's own route, or the exception raised inside FastAPI's own stack. So every answer is FastAPI's, and
the short way only has to be right about good requests.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import fastapi
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chutes.errors import QueueFull
from chutes.serve.answers import is_picture
from chutes.serve.calls import CLIENT_CLOSED_REQUEST, CordCall, count_refusal
from chutes.serve.disconnects import ClientGone
from chutes.serve.exchange import Exchange, Headers, exchange_of
from chutes.serve.reading import Reader, Unusual, check_json_type, reader_of
from chutes.serve.rejoining import Failure, Replay, keep_body, leave, refusal
from chutes.serve.streaming import StreamReply, is_stream

if TYPE_CHECKING:
    from chutes.serve.cords import CordRoute

__all__ = ["FastCord", "fast_cord", "is_tested_version"]

_TESTED_MINORS = range(136, 166)
_JSON_HEADER = (b"content-type", b"application/json")
# A cord returns few types; one that makes new ones all the time shall not fill the memory.
_KNOWN_TYPES = 64
_DATA = (dict, list, tuple, str, int, float, bool, type(None))


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
    reader = reader_of(route, call)
    if reader is None or "{" in route.path or call.answers.response_class is not None:
        return None
    return FastCord(call, reader)


class FastCord:
    """The good requests of one cord."""

    __slots__ = (
        "_admission",
        "_at_once",
        "_call",
        "_encode",
        "_is_json",
        "_meter",
        "_plain",
        "_queue",
        "_reader",
        "_timeout",
    )

    def __init__(self, call: CordCall, reader: Reader) -> None:
        self._call = call
        self._reader = reader
        self._queue = call.queue
        self._admission = call.served.admission
        self._meter = call.meter
        self._timeout = call.cord.timeout
        # Nothing can end such a call before its time: where a slot is free, it is simply made.
        self._at_once = not (call.cancels_call or call.cord.timeout or call.cord.batch)
        # The head of such an answer is ours from end to end.
        self._is_json = _is_json(call)
        self._encode = _encoder(call)
        self._plain = set(_DATA)

    async def answer(self, long_way: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it over to the long way."""
        exchange, reader = exchange_of(scope), self._reader
        exchange.meter = meter = self._meter
        meter.in_flight += 1
        seen: list[Message] = []
        error: Exception | None = None
        try:
            try:
                self._queue.check()
                body = b""
                if reader.takes_body:
                    if not exchange.has_json:
                        check_json_type(scope)
                    wire = exchange.wire if exchange.is_whole else None
                    seen.append((wire.request() if wire is not None else None) or await receive())
                    while seen[-1].get("more_body", False):
                        seen.append(await receive())
                    body = _joined(seen)
                request = self._request(scope, receive, send, body) if reader.takes_request else None
                given = reader.read(scope, body, request)
                exchange.called = True
                result = await self._begun(exchange, given, receive)
                if type(result) not in self._plain and not self._is_plain(result):
                    await self._respond(exchange, result, scope, receive, send)
                elif (messages := self._messages(exchange, result)) is not None:
                    put = exchange.send if exchange.direct else send
                    await put(messages[0])
                    exchange.complete = exchange.direct
                    await put(messages[1])
            except Exception as caught:  # noqa: BLE001 - FastAPI's own stack raises it again
                error = caught
            if error is not None:
                # Outside of the except block: what is raised there shall not name this error as its context.
                await self._recover(error, seen, long_way=long_way, scope=scope, receive=receive, send=send)
        finally:
            # The error's traceback leads here: the two would keep each other until the next collection.
            del error
            meter.in_flight -= 1
            if exchange.place is not None:
                exchange.place.leave()

    def _begun(self, exchange: Exchange, given: Any, receive: Receive) -> Awaitable[Any]:
        """The call of the function: at once where a slot is free, else in its turn."""
        place = exchange.place = self._admission.begin() if self._at_once else None
        if place is not None:
            self._meter.at_once += 1
            return self._reader.run(given)
        exchange.place = self._queue.enter(self._timeout)
        return self._call.result(exchange, exchange.watch(receive), partial(self._reader.run, given))

    def _messages(self, exchange: Exchange, result: Any) -> tuple[Message, Message] | None:
        """The head and the body of a plain result; None when they are sent. No user code runs for it any more."""
        if exchange.place is not None:
            exchange.place.leave()
            exchange.place = None
        status, headers, body = self._encode(result)
        exchange.answering = True
        if not exchange.direct:
            head: Message = {"type": "http.response.start", "status": status, "headers": headers}
        else:
            head, wire = exchange.begin(status, headers), exchange.wire
            if wire is not None and self._is_json and wire.answer(status, headers, body):
                exchange.complete = True
                return None
        return head, {"type": "http.response.body", "body": body}

    async def _respond(
        self, exchange: Exchange, result: Any, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send a response object, a stream or a picture."""
        disconnects = exchange.watch(receive)
        response = await self._call.response(exchange, disconnects, result, _nothing_injected())
        if isinstance(response, StreamReply):
            # The first thing that it does is to begin the answer; its many parts need no watching.
            exchange.answering = True
            await response(scope, disconnects.receive, send)
            return

        async def noting(message: Message) -> None:
            exchange.answering = exchange.answering or message["type"] == "http.response.start"
            await send(message)

        await response(scope, disconnects.receive, noting)

    async def _recover(
        self,
        error: Exception,
        seen: list[Message],
        *,
        long_way: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Do what FastAPI's own way does after an error, or leave it to that."""
        exchange, failure = exchange_of(scope), None
        if isinstance(error, QueueFull):
            count_refusal(self._meter, error)
        if exchange.called:
            if isinstance(error, ClientGone):
                self._call.note_gone(scope)
                await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, receive, send)
                return
            receive = exchange.watch(receive).receive
            body = _joined(seen) if self._reader.takes_body else None
            failure = Failure(error=error, body=body, began=exchange.answering)
        elif isinstance(error, QueueFull):
            failure = Failure(error=refusal(error), inside=False)
        elif self._reader.takes_body:
            receive = Replay(seen, receive, None if isinstance(error, Unusual) or _is_whole(seen) else error)
        await leave(long_way, scope, receive, send, failure)

    def _request(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> Request:
        """The request as FastAPI would give it to the function."""
        request = Request(scope, exchange_of(scope).watch(receive).receive, send)
        return keep_body(request, body) if self._reader.takes_body else request

    def _is_plain(self, result: Any) -> bool:
        """Whether a result is sent at once; the first few types that are will be known from then on."""
        if (
            isinstance(result, Response)
            or is_stream(result, asked=self._call.cord.stream)
            or is_picture(result)
        ):
            return False
        if len(self._plain) < _KNOWN_TYPES:
            self._plain.add(type(result))
        return True


def _is_whole(seen: list[Message]) -> bool:
    return bool(seen) and not seen[-1].get("more_body", False)


def _joined(seen: list[Message]) -> bytes:
    """The body of a request.

    Raises:
        Unusual: the client left before its end.
    """
    if seen[-1]["type"] != "http.request":
        raise Unusual
    if len(seen) == 1:
        # Most bodies come in one piece.
        return seen[0].get("body", b"")  # type: ignore[no-any-return] # ASGI says that it is bytes
    return b"".join(message.get("body", b"") for message in seen)


def _nothing_injected() -> Response:
    """A response parameter on which nobody set anything, as FastAPI makes one."""
    response = Response()
    del response.headers["content-length"]
    response.status_code = None  # type: ignore[assignment] # FastAPI's way of saying that nobody set it
    return response


def _is_json(call: CordCall) -> bool:
    """Whether a plain result is sent as JSON, with the most common status."""
    answers = call.answers
    return answers.content_type == "application/json" and answers.status_code == HTTPStatus.OK


def _encoder(call: CordCall) -> Callable[[Any], tuple[int, Headers, bytes]]:
    """Status, headers and body of a plain result."""
    answers = call.answers
    if _is_json(call):
        encode = answers.json_encoder()

        def as_json(result: Any) -> tuple[int, Headers, bytes]:
            body = encode(result)
            return 200, [(b"content-length", b"%d" % len(body)), _JSON_HEADER], body

        return as_json

    def as_response(result: Any) -> tuple[int, Headers, bytes]:
        response = answers.respond(result, _nothing_injected())
        return response.status_code, response.raw_headers, bytes(response.body)

    return as_response
