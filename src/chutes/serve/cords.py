"""One cord → one FastAPI route."""

import inspect
import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from pydantic import PydanticSchemaGenerationError, TypeAdapter
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chutes.chute.batch import Batch
from chutes.chute.cord import Cord
from chutes.chute.hosted import is_engine_cord
from chutes.errors import DefinitionError, QueueFull
from chutes.loading.type_hints import usable
from chutes.serve.admission import Admission
from chutes.serve.answers import Answers
from chutes.serve.batching import Batcher
from chutes.serve.binding import Binding, bind
from chutes.serve.calls import CordCall, count_refusal, runner
from chutes.serve.disconnects import Disconnects
from chutes.serve.exchange import exchange_of
from chutes.serve.fast import FastCord, fast_cord
from chutes.serve.operations import describe, stream_content, stream_type
from chutes.serve.spans import label_span

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute
    from chutes.serve.passthrough_short import ShortPassthrough

__all__ = ["CordRoute", "add_cord_route"]


class CordRoute(APIRoute):
    """FastAPI's route of a cord, behind a place in the queue."""

    cord: Cord
    twin: "CordRoute | None" = None
    fast: "FastCord | ShortPassthrough | None" = None
    _siblings: list[BaseRoute]

    def serve(self, served: "ServedChute", call: CordCall) -> None:
        """Put the choice between two cords on one path, and admission, in front of FastAPI's own handler."""
        cord = self.cord = call.cord
        self.fast = _short_way(self, call) if served.takes_short_way else None
        own = _admitting(self.app, call)

        async def choose(scope: Scope, receive: Receive, send: Send) -> None:
            if self.twin is None:
                await own(scope, receive, send)
                return
            _refuse_when_full(call)
            wants_stream, replay = await _wants_stream(scope, receive)
            chosen = own if wants_stream == cord.stream else self.twin.app
            await chosen(scope, replay, send)

        self.app = choose
        self._siblings = served.app.router.routes

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or name every verb that this path takes: each of its cords is a route of its own."""
        if self.methods and scope["method"] not in self.methods:
            same_path = (route for route in self._siblings if route.matches(scope)[0] is not Match.NONE)
            verbs = {verb for route in same_path for verb in getattr(route, "methods", None) or ()}
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(verbs))})
        await super().handle(scope, receive, send)


def add_cord_route(served: "ServedChute", cord: Cord) -> None:
    """Add the route of `cord` to the chute's application.

    Raises:
        DefinitionError: a parameter of the function cannot come from a request.
    """
    router = served.app.router
    twin = next(
        (one for one in router.routes if isinstance(one, CordRoute) and one.cord.key == cord.key), None
    )
    try:
        placeholders = frozenset(compile_path(cord.path)[2])
        binding = bind(cord, placeholders, has_dependencies=bool(router.dependencies))
        call = _call(served, cord, binding)
        router.add_api_route(
            cord.path,
            _endpoint(call),
            methods=[cord.method],
            name=cord.name,
            route_class_override=CordRoute,
            **describe(cord, binding),
        )
    except DefinitionError:
        raise
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        # FastAPI's and pydantic's own errors are RuntimeErrors.
        raise DefinitionError(f"Cord {cord.name!r} cannot be served: {_reason(error)}") from error
    route = router.routes[-1]
    if not isinstance(
        route, CordRoute
    ):  # pragma: no cover - guards against a FastAPI that adds routes elsewhere
        raise DefinitionError(f"FastAPI made no route of ours for cord {cord.name!r}.")
    route.serve(served, call)
    if twin is not None:
        _pair(served, twin, route)


def _reason(error: Exception) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0]
    if not isinstance(error, PydanticSchemaGenerationError):
        return first
    # What pydantic proposes is for models, of which there may be none.
    kind = first.removeprefix("Unable to generate pydantic-core schema for ").partition(". ")[0]
    return (
        f"pydantic cannot read or write {kind}. Write a model, a dataclass or a type of Python's own in its place, "
        "or no hint at all."
    )


def _pair(served: "ServedChute", first: CordRoute, second: CordRoute) -> None:
    """Two cords on one path: the one that does not stream answers, and hands the other's calls over."""
    routes = served.app.router.routes
    plain, streaming = (second, first) if first.cord.stream else (first, second)
    # The pair stands where its first cord was written: routes are tried in order.
    routes[routes.index(first)] = plain
    del routes[-1]
    plain.twin, plain.fast = streaming, None
    status = plain.status_code or 200
    documented = plain.responses.get(status, {"description": "Successful Response"})
    content = documented.get("content", {}) | stream_content(streaming.cord)
    plain.responses = {**plain.responses, status: {**documented, "content": content}}


def _admitting(own: ASGIApp, call: CordCall) -> ASGIApp:
    meter = call.meter

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        checked = exchange.meter is not None
        exchange.meter = meter
        exchange.disconnects = Disconnects(receive)
        if not checked:
            # On its way here from the short one it was let in, and counted, already.
            _refuse_when_full(call)
            meter.in_flight += 1
        if scope.get("fastapi.telemetry") is not None:
            # The span is FastAPI's, which knows neither.
            label_span(chutes_cord=call.cord.name, chutes_request_id=exchange.request_id)
        try:
            await own(scope, exchange.disconnects.receive, send)
        except QueueFull as full:
            count_refusal(meter, full)
            raise HTTPException(full.status, full.detail, full.headers) from None
        finally:
            if not checked:
                meter.in_flight -= 1
            if call.cord.passthrough:
                from chutes.serve.passthrough import end_answer

                await end_answer(scope)
            if exchange.place is not None:
                exchange.place.leave()

    return admitted


def _call(served: "ServedChute", cord: Cord, binding: Binding) -> CordCall:
    policy = cord.on_disconnect or served.chute.config.on_disconnect
    run, in_thread = runner(served, cord)
    queue: Admission | Batcher = served.admission
    if cord.batch is not None:
        queue = _batcher(served, cord, cord.batch)
        run, in_thread = queue.submit, False
    call = CordCall(
        served=served,
        cord=cord,
        binding=binding,
        answers=Answers(
            owner=cord.name,
            content_type=cord.output_content_type,
            schema=_output_adapter(cord),
            response_class=_own_response_class(served.app.router.default_response_class),
            status_code=cord.route_options.get("status_code") or 200,
        ),
        run=run,
        queue=queue,
        meter=served.meters.of(cord),
        in_thread=in_thread,
        cancels_call=policy == "cancel" or (policy is None and cord.cancels_by_default),
        cancels_stream=policy != "finish",
        empty_type=stream_type(cord),
    )
    if not cord.passthrough:
        return call
    # It brings a client for HTTP, which most chutes never need.
    from chutes.serve.passthrough import passthrough_call

    forwarded = passthrough_call(call)
    if served.engine is None or not is_engine_cord(cord):
        return forwarded
    from chutes.serve.openai_calls import openai_call

    return openai_call(forwarded, served.engine)


def _short_way(route: CordRoute, call: CordCall) -> "FastCord | ShortPassthrough | None":
    if not call.cord.passthrough:
        return fast_cord(route, call)
    from chutes.serve.passthrough_short import short_passthrough

    return short_passthrough(route, call)


def _batcher(served: "ServedChute", cord: Cord, batch: Batch) -> Batcher:
    batcher = Batcher(
        batch,
        partial(cord.function, served.chute),
        name=cord.name,
        admission=served.admission,
        threads=served.threads,
        meter=served.meters.of(cord),
        max_queue=served.chute.config.max_queue,
        tracing=served.tracing,
    )
    served.batchers.append(batcher)
    return batcher


def _endpoint(call: CordCall) -> Callable[..., Any]:
    """The function that FastAPI calls: its parameters are the binding's, its result is always a response."""

    async def endpoint(**values: Any) -> Response:
        return await call.respond(values)

    endpoint.__name__ = call.cord.name
    endpoint.__module__ = call.cord.function.__module__
    endpoint.__signature__ = inspect.Signature(list(call.binding.parameters))  # type: ignore[attr-defined] # inspect's own protocol
    return endpoint


def _refuse_when_full(call: CordCall) -> None:
    """Refuse a call before its body is read."""
    try:
        call.queue.check()
    except QueueFull as full:
        count_refusal(call.meter, full)
        raise HTTPException(full.status, full.detail, full.headers) from None


async def _wants_stream(scope: Scope, receive: Receive) -> tuple[bool, Receive]:
    """Whether the client asks for a stream, and a `receive` that gives the body once more."""
    if scope["method"] not in ("POST", "PUT", "PATCH"):
        asked = QueryParams(scope["query_string"]).get("stream", "")
        return asked.lower() in ("1", "true", "yes"), receive
    request = Request(scope, receive)
    body = await request.body()
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        parsed = None
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return unread.pop() if unread else await receive()

    return isinstance(parsed, dict) and parsed.get("stream") is True, replay


def _own_response_class(default: object) -> type[Response] | None:
    """The application's `default_response_class`; FastAPI has a placeholder where the user gave none."""
    return default if isinstance(default, type) and issubclass(default, Response) else None


def _output_adapter(cord: Cord) -> TypeAdapter[Any] | None:
    schema = usable(cord.output_schema)
    return None if schema is None or isinstance(schema, dict) else TypeAdapter(schema)
