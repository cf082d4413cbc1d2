"""One call of a cord: its slot, its deadline, the user's function, the response."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from chutes.chute.cord import Cord
from chutes.errors import DeadlineUnreachable, QueueFull
from chutes.serve.admission import Admission
from chutes.serve.answers import Answers, is_picture
from chutes.serve.batching import Batcher
from chutes.serve.binding import FORM, REQUEST, RESPONSE, Binding
from chutes.serve.chunks import EVENT_STREAM, looks_like_event
from chutes.serve.disconnects import CLIENT_CLOSED_REQUEST, ClientGone, Disconnects
from chutes.serve.exchange import Exchange, OwnExchange, exchange_of, shown_path
from chutes.serve.metrics import CordMeter
from chutes.serve.streaming import StreamReply, is_stream, stream_reply

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["CLIENT_CLOSED_REQUEST", "CordCall", "count_refusal", "runner"]


@dataclass(frozen=True, slots=True)
class CordCall:
    """One cord's way from the values of a request to its response.

    Attributes:
        served: the chute.
        cord: the cord.
        binding: where the arguments come from.
        answers: how results are sent.
        run: calls the user's function in the way that its kind needs.
        queue: where calls wait: for a slot of the chute's, or for a batch.
        meter: the cord's.
        in_thread: the function runs in a thread, where nothing can stop it.
        cancels_call: a client that leaves cancels the function.
        cancels_stream: a client that leaves closes the stream.
        empty_type: the content type of a stream without chunks.
    """

    served: "ServedChute"
    cord: Cord
    binding: Binding
    answers: Answers
    run: Callable[..., Any]
    queue: Admission | Batcher
    meter: CordMeter
    in_thread: bool
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
            exchange.place = self.queue.enter(self.cord.timeout)
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
            HTTPException: 504, the deadline passed.
        """
        if self.cord.timeout is None or isinstance(exchange, OwnExchange):
            await self._turn(exchange, disconnects)
            async with self._cancelling(disconnects):
                return await run()
        deadline = exchange.deadline = asyncio.get_running_loop().time() + self.cord.timeout
        async with self._in_time(deadline):
            await self._turn(exchange, disconnects)
            if not self.in_thread:
                async with self._cancelling(disconnects):
                    return await run()
        return await self._in_thread_until(deadline, exchange, disconnects, run)

    async def _turn(self, exchange: Exchange, disconnects: Disconnects) -> None:
        place = exchange.place
        if place is None:
            # An item of a batch: the batch takes the slot.
            return
        if place.start_at_once():
            self.meter.at_once += 1
            return
        begun = asyncio.get_running_loop().time()
        async with disconnects.cancelling():
            await place.start()
        self.meter.queued(asyncio.get_running_loop().time() - begun)

    def _cancelling(self, disconnects: Disconnects) -> contextlib.AbstractAsyncContextManager[None]:
        return disconnects.cancelling() if self.cancels_call else contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def _in_time(self, deadline: float | None) -> AsyncIterator[None]:
        """Cancel the block at the deadline, in seconds of the event loop's clock, and answer 504."""
        try:
            async with asyncio.timeout_at(deadline) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                # The function's own.
                raise
            raise self._timed_out() from None

    async def _in_thread_until(
        self,
        deadline: float,
        exchange: Exchange,
        disconnects: Disconnects,
        run: Callable[[], Awaitable[Any]],
    ) -> Any:
        """A thread cannot be stopped: at the deadline the client is answered, and the slot stays taken until the end."""
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(run())
        try:
            async with self._cancelling(disconnects):
                await asyncio.wait([task], timeout=max(deadline - loop.time(), 0))
        except BaseException:
            task.cancel()
            await asyncio.wait([task])
            raise
        if not task.done():
            self._overrun(exchange, task, since=loop.time())
            raise self._timed_out()
        return await task

    def _overrun(self, exchange: Exchange, task: "asyncio.Future[Any]", since: float) -> None:
        """Keep the slot until the thread is done, and say so when it is."""
        place, exchange.place = exchange.place, None
        self.meter.overrunning += 1

        def ended(done: "asyncio.Future[Any]") -> None:
            self.meter.overrunning -= 1
            if place is not None:
                place.leave()
            over = done.get_loop().time() - since
            error = None if done.cancelled() else done.exception()
            text = "A call of %r ended %.1f s after its timeout of %g s; its result is lost, and its slot was taken until now."
            self.served.logger.log(
                logging.WARNING, text, self.cord.name, over, self.cord.timeout, exc_info=error
            )

        task.add_done_callback(ended)

    def _timed_out(self) -> HTTPException:
        self.meter.timeouts += 1
        return HTTPException(504, f"The call took more than its timeout of {self.cord.timeout:g} s.")

    async def response(
        self, exchange: Exchange, disconnects: Disconnects, result: Any, injected: Response
    ) -> Response:
        """The response for a result; the slot is given back as soon as no user code runs for it any more."""
        if is_stream(result, asked=self.cord.stream):
            return self._stream(exchange, disconnects, result, injected)
        if is_picture(result):
            # Compressing takes a while: the slot is kept, the loop is not.
            return await self.served.threads.run(self.answers.respond, result, injected)
        if exchange.place is not None:
            exchange.place.leave()
        return self.answers.respond(result, injected)

    def note_gone(self, scope: Scope) -> None:
        """Count and log a call that was given up because its client left."""
        self.meter.cancelled += 1
        self.served.logger.info(
            "The client left %s %s before its answer.", self.cord.method, shown_path(scope)
        )

    def _stream(
        self, exchange: Exchange, disconnects: Disconnects, result: Any, injected: Response
    ) -> StreamReply:
        content_type = self.cord.output_content_type
        reply = stream_reply(
            result,
            content_type=None if content_type == "application/json" else content_type,
            empty_type=self.empty_type,
            injected=injected,
            threads=self.served.threads,
            status_code=self.answers.status_code,
        )
        reply.watch = disconnects if self.cancels_stream else None
        reply.logger = self.served.logger
        reply.deadline, reply.timeout = exchange.deadline, self.cord.timeout
        reply.keep_alive = self.served.chute.config.sse_keep_alive
        reply.advise = self._advise
        return reply

    def _advise(self, first: Any) -> None:
        """Say once that a stream of text looks like one of events, which browsers and OpenAI's client would not take."""
        name = self.cord.name
        if not isinstance(first, str) or not looks_like_event(first) or name in self.served.advised:
            return
        self.served.advised.add(name)
        self.served.logger.warning(
            "Cord %r streams what looks like server-sent events, as text/plain. Write output_content_type=%r on the cord, "
            "or yield dicts.",
            name,
            EVENT_STREAM,
        )


def count_refusal(meter: CordMeter, refused: QueueFull) -> None:
    """Count a call that got no place."""
    if isinstance(refused, DeadlineUnreachable):
        meter.hopeless += 1
    else:
        meter.refused += 1


def runner(served: "ServedChute", cord: Cord) -> tuple[Callable[..., Any], bool]:
    """A coroutine function that calls the user's function in the way that its kind needs, and whether in a thread."""
    function, chute = cord.function, served.chute

    async def directly(*positional: Any, **named: Any) -> Any:
        result = function(chute, *positional, **named)
        return await result if inspect.isawaitable(result) else result

    async def in_thread(*positional: Any, **named: Any) -> Any:
        result = await served.threads.run(function, chute, *positional, **named)
        return await result if inspect.isawaitable(result) else result

    if inspect.iscoroutinefunction(function):
        return partial(function, chute), False
    kinds = (inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    if any(kind(function) for kind in kinds):
        return directly, False
    return in_thread, True
