"""A passthrough cord: its calls are forwarded to a server on this machine, and its answers come back as they are."""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import httpcore2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chutes.serve.binding import REQUEST, RESPONSE
from chutes.serve.calls import CordCall
from chutes.serve.disconnects import CLIENT_CLOSED_REQUEST, ClientGone
from chutes.serve.exchange import Exchange, exchange_of
from chutes.serve.passthrough_answer import Forwarded
from chutes.serve.passthrough_body import Upload
from chutes.serve.passthrough_connections import Refused, Unanswered
from chutes.serve.passthrough_target import Target, upstream_of
from chutes.serve.spans import traceparent
from chutes.serve.upstream import Upstream

__all__ = ["PassthroughCall", "end_answer", "passthrough_call"]

_ANSWER = "chutes.forwarded"
_FINAL = range(200, 600)
_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class PassthroughCall(CordCall):
    """One passthrough cord's way from a request to the upstream's answer. The cord's function is not called."""

    target: Target

    async def respond(self, values: dict[str, Any]) -> Response:
        """The answer of the upstream, for a request whose dependencies have run."""
        request: Request = values[REQUEST]
        exchange = exchange_of(request.scope)
        upload = Upload(request.receive)
        try:
            if not upload.take_over(request):
                await self.begin(request.scope, upload)
            answer = await self.open(exchange, request.scope, upload)
        except ClientGone:
            self.note_gone(request.scope)
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        answer.raw_headers += [one for one in values[RESPONSE].headers.raw if one[0] != b"content-length"]
        return answer

    async def begin(self, scope: Scope, upload: Upload) -> None:
        """Wait for the body to begin, unless the client itself waits to hear that it may.

        Raises:
            ClientGone: the client left.
            HTTPException: the body is too large.
        """
        if not any(name == b"expect" for name, _ in scope["headers"]):
            await upload.begin()

    async def open(self, exchange: Exchange, scope: Scope, upload: Upload) -> Forwarded:
        """Wait for a slot, send the call, and return the answer when its head is there.

        Raises:
            QueueFull: there is no place.
            ClientGone: the client left.
            HTTPException: there is no answer: 502, 503 or 504; 413, the body is too large.
        """
        exchange.place = self.queue.enter(self.cord.timeout)
        answer: Forwarded = await self.result(exchange, upload, partial(self._send, exchange, scope, upload))
        # Whatever becomes of the answer, its connection ends with the call.
        scope[_ANSWER] = answer
        answer.cancels = self.cancels_stream
        answer.deadline, answer.timeout = exchange.deadline, self.cord.timeout
        answer.logger = self.served.logger
        return answer

    async def _send(self, exchange: Exchange, scope: Scope, upload: Upload) -> Forwarded:
        upstream = upstream_of(self.served, self.cord)
        seconds = upstream.retry_after()
        if seconds is not None:
            raise self._not_ready(upstream, seconds)
        target, whole = self.target, upload.whole
        address = target.address(upstream, self.served)
        if scope.get("server") == ("127.0.0.1", address.port):
            raise HTTPException(508, f"Cord {self.cord.name!r} would forward the call to this chute itself.")
        headers = address.outgoing.headers(
            scope, request_id=exchange.request_id, method=target.method, body=whole, traceparent=traceparent()
        )
        url = httpcore2.URL(scheme=b"http", host=address.host, port=address.port, target=target.of(scope))
        try:
            answer = await self.served.connections.send(
                target.method.encode(), url, headers, upload.parts() if whole is None else whole
            )
        except Refused as error:
            self._log(upstream, error)
            raise self._not_ready(upstream, upstream.retry_after() or _RETRY_SECONDS) from None
        except Unanswered as error:
            self._log(upstream, error)
            raise self._unanswered(upstream) from None
        if answer.status not in _FINAL:
            await answer.aclose()
            raise self._unanswered(upstream)
        return Forwarded(answer, upload, scope["method"])

    def _not_ready(self, upstream: Upstream, seconds: float) -> HTTPException:
        wait = max(1, round(seconds))
        text = (
            f"The upstream {upstream.name!r} of cord {self.cord.name!r} is not ready. Try again in {wait} s."
        )
        return HTTPException(503, text, {"Retry-After": str(wait)})

    def _unanswered(self, upstream: Upstream) -> HTTPException:
        # Never 503: the call was sent, and may have been begun.
        text = f"The upstream {upstream.name!r} gave cord {self.cord.name!r} no answer."
        seconds = upstream.retry_after()
        # It has ended meanwhile, and begins anew.
        headers = None if seconds is None else {"Retry-After": str(max(1, round(seconds)))}
        return HTTPException(502, text, headers)

    def _log(self, upstream: Upstream, error: Exception) -> None:
        self.served.logger.warning(
            "Cord %r got nothing from %s at %s: %s", self.cord.name, upstream.name, upstream.url, error
        )


def passthrough_call(call: CordCall) -> PassthroughCall:
    """The way of a cord whose calls are forwarded, made from that of any other."""
    same = {one.name: getattr(call, one.name) for one in fields(call)}
    # An upstream can be stopped, whatever the kind of the function.
    return PassthroughCall(**{**same, "in_thread": False, "target": Target(call.cord)})


async def end_answer(scope: Scope) -> None:
    """End the upstream's work for a request that is over; an answer that was sent has ended by itself."""
    answer: Forwarded | None = scope.pop(_ANSWER, None)
    if answer is not None:
        await answer.close()
