"""One call of a cord: its slot, the user's function, the response."""

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chutes.chute.cord import Cord
from chutes.serve.answers import Answers, is_picture
from chutes.serve.binding import FORM, REQUEST, RESPONSE, Binding
from chutes.serve.disconnects import ClientGone, Disconnects
from chutes.serve.exchange import Exchange, exchange_of, shown_path
from chutes.serve.streaming import StreamReply, is_stream, open_stream

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["CLIENT_CLOSED_REQUEST", "CordCall", "runner"]

CLIENT_CLOSED_REQUEST = 499
"""What nginx logs for a client that left; it is counted, and never received."""


@dataclass(frozen=True, slots=True)
class CordCall:
    """One cord's way from the values of a request to its response.

    Attributes:
        served: the chute.
        cord: the cord.
        binding: where the arguments come from.
        answers: how results are sent.
        run: calls the user's function in the way that its kind needs.
        cancels_call: a client that leaves cancels the function.
        cancels_stream: a client that leaves closes the stream.
        empty_type: the content type of a stream without chunks.
    """

    served: "ServedChute"
    cord: Cord
    binding: Binding
    answers: Answers
    run: Callable[..., Any]
    cancels_call: bool
    cancels_stream: bool
    empty_type: str

    async def respond(self, values: dict[str, Any]) -> Response:
        """The response for what FastAPI read from the request."""
        request: Request = values[REQUEST]
        exchange = exchange_of(request.scope)
        if exchange.disconnects is None:  # pragma: no cover - the route's own wrapper sets it
            raise RuntimeError("The cord was reached without admission.")
        if self.binding.in_form:
            values[FORM] = await request.form()
        try:
            positional, named = self.binding.arguments(values)
            exchange.place = self.served.admission.enter()
            run = partial(self.run, *positional, **named)
            result = await self.result(exchange, exchange.disconnects, run)
            return await self.response(exchange, exchange.disconnects, result, values[RESPONSE])
        except ClientGone:
            self.note_gone(request.scope)
            return Response(status_code=CLIENT_CLOSED_REQUEST)

    async def result(
        self, exchange: Exchange, disconnects: Disconnects, run: Callable[[], Awaitable[Any]]
    ) -> Any:
        """What the function returns, once it had its turn.

        Raises:
            ClientGone: the client left, and the call with it.
        """
        place = exchange.place
        if place is not None and not place.start_at_once():
            async with disconnects.cancelling():
                await place.start()
        if not self.cancels_call:
            return await run()
        async with disconnects.cancelling():
            return await run()

    async def response(
        self, exchange: Exchange, disconnects: Disconnects, result: Any, injected: Response
    ) -> Response:
        """The response for a result; the slot is given back as soon as no user code runs for it any more.

        Raises:
            ClientGone: the client left before the first chunk of a stream.
        """
        if is_stream(result, asked=self.cord.stream):
            return await self._stream(result, injected, disconnects)
        if is_picture(result):
            # Compressing takes a while: the slot is kept, the loop is not.
            return await self.served.threads.run(self.answers.respond, result, injected)
        if exchange.place is not None:
            exchange.place.leave()
        return self.answers.respond(result, injected)

    def note_gone(self, scope: Scope) -> None:
        """Count and log a call that was given up because its client left."""
        self.served.meters.of(self.cord).cancelled += 1
        self.served.logger.info(
            "The client left %s %s before its answer.", self.cord.method, shown_path(scope)
        )

    async def _stream(self, result: Any, injected: Response, disconnects: Disconnects) -> StreamReply:
        content_type = self.cord.output_content_type
        async with disconnects.cancelling() if self.cancels_stream else contextlib.nullcontext():
            reply = await open_stream(
                result,
                content_type=None if content_type == "application/json" else content_type,
                empty_type=self.empty_type,
                injected=injected,
                threads=self.served.threads,
                status_code=injected.status_code or self.answers.status_code,
            )
        reply.watch = disconnects if self.cancels_stream else None
        reply.logger = self.served.logger
        return reply


def runner(served: "ServedChute", cord: Cord) -> Callable[..., Any]:
    """A coroutine function that calls the user's function in the way that its kind needs."""
    function, chute = cord.function, served.chute

    async def directly(*positional: Any, **named: Any) -> Any:
        result = function(chute, *positional, **named)
        return await result if inspect.isawaitable(result) else result

    async def in_thread(*positional: Any, **named: Any) -> Any:
        result = await served.threads.run(function, chute, *positional, **named)
        return await result if inspect.isawaitable(result) else result

    async def nowhere(*_positional: Any, **_named: Any) -> Any:
        raise HTTPException(501, f"Cord {cord.name!r} is a passthrough, and these are not served yet.")

    if cord.passthrough:
        return nowhere
    if inspect.iscoroutinefunction(function):
        return partial(function, chute)
    kinds = (inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return directly if any(kind(function) for kind in kinds) else in_thread
