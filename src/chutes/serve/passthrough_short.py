"""The short way of a passthrough cord: from the server to the upstream and back, without FastAPI's request machinery."""

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from chutes.errors import QueueFull
from chutes.serve.calls import CLIENT_CLOSED_REQUEST, CordCall, count_refusal
from chutes.serve.disconnects import ClientGone
from chutes.serve.exchange import Exchange, exchange_of
from chutes.serve.passthrough import PassthroughCall
from chutes.serve.passthrough_body import Upload
from chutes.serve.rejoining import Failure, leave, refusal

if TYPE_CHECKING:
    from chutes.serve.cords import CordRoute

__all__ = ["ShortPassthrough", "short_passthrough"]


def short_passthrough(route: "CordRoute", call: CordCall) -> "ShortPassthrough | None":
    """The short way of a passthrough cord; None where dependencies run first, or its path has placeholders."""
    # FastAPI's own three are the request, the response and nothing else.
    if not isinstance(call, PassthroughCall) or "{" in route.path or route.dependant.dependencies:
        return None
    return ShortPassthrough(call)


class ShortPassthrough:
    """The calls of one cord; whatever goes wrong with one is raised inside FastAPI's own stack.

    Args:
        call: the cord's.
    """

    __slots__ = ("_call",)

    def __init__(self, call: PassthroughCall) -> None:
        self._call = call

    async def answer(self, long_way: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request."""
        exchange, meter = exchange_of(scope), self._call.meter
        exchange.meter = meter
        meter.in_flight += 1
        upload = exchange.disconnects = Upload(receive, exchange.wire if exchange.direct else None)
        error: Exception | None = None
        try:
            try:
                self._call.queue.check()
                await self._forward(exchange, scope, upload, send)
            except Exception as caught:  # noqa: BLE001 - FastAPI's own stack raises it again
                error = caught
            if error is not None:
                # Outside of the except block: what is raised there shall not name this error as its context.
                await self._recover(error, long_way, scope, upload, send)
        finally:
            # The error's traceback leads here: the two would keep each other until the next collection.
            del error
            meter.in_flight -= 1
            if exchange.place is not None:
                exchange.place.leave()

    async def _forward(self, exchange: Exchange, scope: Scope, upload: Upload, send: Send) -> None:
        call = self._call
        await call.begin(scope, upload)
        answer = await call.open(exchange, scope, upload)
        await answer(scope, upload.receive, send)

    async def _recover(
        self, error: Exception, long_way: ASGIApp, scope: Scope, upload: Upload, send: Send
    ) -> None:
        """Do what FastAPI's own way does after an error."""
        if isinstance(error, ClientGone):
            self._call.note_gone(scope)
            await Response(status_code=CLIENT_CLOSED_REQUEST)(scope, upload.receive, send)
            return
        if isinstance(error, QueueFull):
            count_refusal(self._call.meter, error)
            failure = Failure(error=refusal(error), inside=False)
        else:
            failure = Failure(error=error, began=exchange_of(scope).answering)
        await leave(long_way, scope, upload.receive, send, failure)
