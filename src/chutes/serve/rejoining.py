"""How a request that began on the short way goes on in FastAPI's own, as if it had been there from the start."""

from dataclasses import dataclass
from typing import Any

# FastAPI itself wraps each of its routes in this.
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chutes.errors import QueueFull

__all__ = ["Failure", "Rejoin", "Replay", "has_left", "keep_body", "leave", "refusal"]

_FAILURE = "chutes.failure"
_LEFT = "chutes.left_the_short_way"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong after the input was read: FastAPI's own stack decides what becomes of it.

    Attributes:
        error: what was raised.
        inside: it was raised inside the route, where the user's handlers see it first.
        body: what FastAPI would have read by then; None when it would have read nothing.
        began: the answer has begun.
    """

    error: Exception
    inside: bool = True
    body: bytes | None = None
    began: bool = False


class Replay:
    """A `receive` that gives messages once more, then what comes after them.

    Args:
        seen: the messages.
        receive: the server's own.
        error: what `receive` raised after them.
    """

    __slots__ = ("_error", "_receive", "_seen")

    def __init__(self, seen: list[Message], receive: Receive, error: Exception | None = None) -> None:
        self._seen = list(seen)
        self._receive = receive
        self._error = error

    async def __call__(self) -> Message:
        """The next message."""
        if self._seen:
            return self._seen.pop(0)
        if self._error is not None:
            raise self._error
        return await self._receive()


class Rejoin:
    """The innermost application: raises what failed on a short way, where FastAPI's handlers see it.

    Args:
        router: FastAPI's router, for every other request.
    """

    def __init__(self, router: ASGIApp) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise, or route."""
        failure: Failure | None = scope.pop(_FAILURE, None)
        if failure is None:
            await self._router(scope, receive, send)
        elif failure.inside:
            await _fail_inside(failure, scope, receive, send)
        else:
            raise failure.error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)


async def leave(
    long_way: ASGIApp, scope: Scope, receive: Receive, send: Send, failure: Failure | None = None
) -> None:
    """Go on with the long way: from the start, or where `failure` happened."""
    scope[_LEFT] = True
    if failure is not None:
        scope[_FAILURE] = failure
        send = _unsent if failure.began else send
    await long_way(scope, receive, send)


def has_left(scope: Scope) -> bool:
    """Whether a request takes the long way for good."""
    return _LEFT in scope


def keep_body(request: Request, body: bytes) -> Request:
    """The request as FastAPI leaves it once it has read the body: whoever reads it again gets the same."""
    request._body = body  # noqa: SLF001 - Starlette's own place for it; it has no public one
    request._stream_consumed = True  # noqa: SLF001 - likewise
    return request


def refusal(full: QueueFull) -> HTTPException:
    """What a full queue is for FastAPI's handlers."""
    return HTTPException(full.status, full.detail, full.headers)


async def _fail_inside(failure: Failure, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive, send)
    if failure.body is not None:
        keep_body(request, failure.body)

    async def fail(_scope: Scope, _receive: Receive, note: Send) -> None:
        if failure.began:
            # Each layer between here and the server notes that it is too late for an answer of its own.
            await note({"type": "http.response.start", "status": 200, "headers": []})
        raise failure.error

    try:
        await wrap_app_handling_exceptions(fail, request)(scope, receive, send)
    except QueueFull as full:
        raise refusal(full) from None


async def _unsent(_message: Message) -> None:
    """The `send` after the answer has begun: nothing can be added to it."""
