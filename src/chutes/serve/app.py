"""A chute → its FastAPI application and everything that runs around it."""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import fastapi
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chutes.chute.chute import Chute, definition_of
from chutes.chute.config import check_installed
from chutes.chute.cord import Cord
from chutes.chute.websocket import Socket
from chutes.errors import CallRefused
from chutes.json_values import encode_json
from chutes.serve.admission import Admission
from chutes.serve.auth import KeyRing
from chutes.serve.batching import Batcher
from chutes.serve.calls import CLIENT_CLOSED_REQUEST
from chutes.serve.cords import add_cord_route
from chutes.serve.engine import ServedEngine, served_engine
from chutes.serve.entry import Entry
from chutes.serve.exchange import exchange_of
from chutes.serve.fast import is_tested_version
from chutes.serve.gate import Gate
from chutes.serve.health import Health
from chutes.serve.holding import Answer, starting_answer
from chutes.serve.jobs import ServedJobs
from chutes.serve.lifecycle import Lifecycle
from chutes.serve.metrics import Meters
from chutes.serve.pages import built_in_routes
from chutes.serve.rejoining import Rejoin
from chutes.serve.sockets import add_socket_route
from chutes.serve.telemetry import tracing_of
from chutes.serve.threads import Threads
from chutes.serve.warmup import warm_up
from chutes.serve.watchdog import Watchdog
from chutes.settings import Settings

if TYPE_CHECKING:
    from chutes.jobs.service import JobService
    from chutes.serve.model_calls import ModelCalls
    from chutes.serve.passthrough_connections import Connections

__all__ = ["ChuteApp", "ServedChute", "create_app", "serve_chute"]


class ChuteApp(FastAPI):
    """FastAPI, with the chute's own routes in front and its default answer to unhandled exceptions."""

    served: "ServedChute"

    def build_middleware_stack(self) -> ASGIApp:
        """FastAPI's stack, once everything that the user wants to add has been added."""
        self.served.place_built_ins()
        if not self.debug and HTTPStatus.INTERNAL_SERVER_ERROR not in self.exception_handlers:
            self.exception_handlers.setdefault(Exception, _internal_error)
        if not self.served.takes_short_way:
            return super().build_middleware_stack()
        router, users = self.router, list(self.user_middleware)
        # The last middleware is the one next to FastAPI's handling of exceptions.
        gate = Middleware(Gate, routes=lambda: router.routes, router=router, application=self)
        self.user_middleware.append(gate)
        self.router = Rejoin(router)  # type: ignore[assignment] # the stack needs of it only that it is an application
        try:
            stack = super().build_middleware_stack()
        finally:
            self.router, self.user_middleware = router, users
        self.served.bare_stack = None if users else stack
        return stack

    def add_middleware(self, *arguments: Any, **options: Any) -> None:
        """Add middleware, also from within a startup hook.

        Raises:
            RuntimeError: requests are being answered already.
        """
        if not self.served.lifecycle.accepts:
            self.middleware_stack = None
        super().add_middleware(*arguments, **options)


class ServedChute:
    """A chute and all that it is served with; what `Chute` itself calls its running self.

    Attributes:
        keys: what opens the chute.
        advised: names of the cords of which the log has said that their streams look like events.
        engine: where passthrough cords forward to that name no port; None in a chute without an engine of its own.
    """

    def __init__(self, chute: Chute, settings: Settings) -> None:
        definition, config = definition_of(chute), chute.config
        self.chute = chute
        self.logger: logging.Logger = chute.logger
        self.app = ChuteApp(**_fastapi_options(chute))
        self.app.served = self
        if self.app.exception_handlers[RequestValidationError] is request_validation_exception_handler:
            self.app.exception_handlers[RequestValidationError] = _invalid_input
        self.keys = KeyRing.parse(settings.api_keys)
        self.engine: ServedEngine | None = served_engine(chute, settings)
        self.admission = Admission(config.concurrency, config.max_queue)
        self.threads = Threads(config.concurrency, name=f"chute-{config.name}")
        # Hooks and health checks take no thread from the cords.
        own_threads = Threads(1, name=f"{self.threads.name}-hooks")
        self.meters = Meters(self.admission)
        self.tracing = tracing_of(config, settings.otel)
        self.batchers: list[Batcher] = []
        self.advised: set[str] = set()
        self.background = ServedJobs(chute, settings)
        self.meters.extra.append(self.background.meters)
        if self.engine is not None:
            self.meters.extra.append(self.engine)
        # The pages of the debug mode show every frame: they tell the two ways apart.
        self.takes_short_way = settings.fast_path and not self.app.debug and is_tested_version()
        self.takes_requests = True
        self.bare_stack: ASGIApp | None = None
        router = self.app.router
        self._gate = Gate(self.app, routes=lambda: router.routes, router=router, application=self.app)
        self._front: tuple[ASGIApp | None, ASGIApp] = (None, self.app)
        self.lifecycle = Lifecycle(
            chute,
            startup=definition.ordered_startup,
            shutdown=definition.ordered_shutdown,
            application=self._lifespan,
            setting=self._set_up,
            warm_up=lambda: warm_up(self),
            threads=own_threads,
            engine=self.engine,
        )
        self.watchdog = Watchdog(self.lifecycle, self.meters.loop)
        self.health = Health(chute, self.lifecycle, own_threads, self.watchdog, self.engine)
        self.entry = self._entry()
        # FastAPI has made one route by now, beside those that the user passed in.
        given = config.fastapi_options.get("routes") or ()
        self._schema_routes = [route for route in self.app.router.routes if route not in given]
        self._built_ins: list[BaseRoute] = []
        for cord in definition.cords:
            self.add_cord(cord)
        for socket in definition.sockets:
            self.add_socket(socket)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer as an ASGI application."""
        return self.entry(scope, receive, send)

    @property
    def starting_answer(self) -> Answer:
        """What the port answers while the hooks run."""
        if self.engine is None:
            return starting_answer
        from chutes.serve.openai_errors import starting_openai_answer

        return starting_openai_answer

    def _entry(self) -> Entry:
        if self.engine is None:
            return Entry(self, self.keys)
        from chutes.serve.openai_errors import OpenAIEntry

        self.app.exception_handlers.setdefault(CallRefused, _engine_refused)
        return OpenAIEntry(self, self.keys)

    @property
    def front(self) -> ASGIApp:
        """What requests meet first: the gate, when nobody has put anything between the server and the cords."""
        stack, front = self._front
        if stack is not self.app.middleware_stack:
            stack = self.app.middleware_stack
            observed = self.app.root_path or (self.tracing is None and _has_telemetry(self.app))
            front = self._gate.answer_first if stack is self.bare_stack and not observed else self.app
            self._front = stack, front
        return front

    def add_cord(self, cord: Cord) -> None:
        """Serve one more cord."""
        # FastAPI makes its document once.
        self.app.openapi_schema = None
        if self.engine is not None:
            from chutes.serve.openai_cords import openai_cord

            cord = openai_cord(cord)
        add_cord_route(self, cord)

    def add_socket(self, socket: Socket) -> None:
        """Serve one more websocket."""
        add_socket_route(self, socket)

    @cached_property
    def connections(self) -> "Connections":
        """The connections to the upstreams of passthrough cords."""
        from chutes.serve.passthrough_connections import Connections

        return Connections()

    @cached_property
    def model(self) -> "ModelCalls":
        """Calls of the model that the chute serves; only for a chute with an engine."""
        from chutes.serve.model_calls import ModelCalls

        assert self.engine is not None  # noqa: S101 - no other chute asks
        return ModelCalls(self.engine, self.connections)

    @property
    def jobs(self) -> "JobService":
        """The runs of the jobs."""
        return self.background.service

    def slot(self) -> AbstractAsyncContextManager[None]:
        """A slot for work outside cords."""
        return self.admission.slot()

    def forget_measurements(self) -> None:
        """Begin anew with what was counted, and with what says how long calls take."""
        self.meters.forget()
        for pace in (self.admission.pace, *(batcher.pace for batcher in self.batchers)):
            pace.forget()

    def owns(self, path: str) -> bool:
        """Whether the user has a route on literally this path."""
        return path in _paths(route for route in self.app.router.routes if route not in self._built_ins)

    def place_built_ins(self) -> None:
        """Put our routes before the user's, where a `/{x}` cannot swallow them, save those that the user replaces."""
        routes = self.app.router.routes
        users = [route for route in routes if route not in (*self._built_ins, *self._schema_routes)]
        taken = _paths(users)
        candidates = [*self._schema_routes, *built_in_routes(self)]
        self._built_ins = [route for route in candidates if getattr(route, "path", None) not in taken]
        routes[:] = [*self._built_ins, *users]

    def _set_up(self) -> Callable[[], None]:
        """What happens before the hooks; what it returns comes after the last of them."""
        tracing, forget = self.tracing, self._remember_additions()
        if tracing is None:
            return forget
        tracing.start()

        def end() -> None:
            tracing.flush()
            forget()

        return end

    def _remember_additions(self) -> Callable[[], None]:
        """What the hooks add to the application belongs to one start: the next start adds it anew."""
        app = self.app
        routes, middleware, handlers = (
            list(app.router.routes),
            list(app.user_middleware),
            dict(app.exception_handlers),
        )

        def forget() -> None:
            app.router.routes[:], app.user_middleware[:] = routes, middleware
            app.exception_handlers = handlers
            app.middleware_stack = app.openapi_schema = None

        return forget

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[dict[str, Any]]:
        self.entry.begin()
        # What the hooks added to the application must be in its middleware stack: it is built anew.
        self.app.middleware_stack = self.app.build_middleware_stack()
        async with self.app.router.lifespan_context(self.app) as state:
            await self.background.start()
            try:
                yield dict(state or {})
            finally:
                await self.background.stop(self.lifecycle.grace_left)
        for batcher in self.batchers:
            await batcher.close()
        if "connections" in self.__dict__:
            await self.connections.close()
        self.threads.shutdown()


def _paths(routes: Iterable[BaseRoute]) -> set[str]:
    """The paths of the routes; newer FastAPI keeps an included router as one route with those of its own inside."""
    found: set[str] = set()
    for route in routes:
        inner = getattr(route, "effective_route_contexts", None)
        found.update(one.path for one in (inner() if inner is not None else (route,)) if hasattr(one, "path"))
    return found


def _has_telemetry(app: FastAPI) -> bool:
    """Whether FastAPI itself reports each request; older ones cannot."""
    native = getattr(app, "_native_telemetry", None)
    return native is not None and native.enabled()


def serve_chute(chute: Chute, settings: Settings | None = None) -> ServedChute:
    """Make everything that a chute is served with; `Chute` calls this once, on first use.

    Raises:
        DefinitionError: a cord or websocket cannot be served.
        SettingsError: an environment variable has a value that cannot be used.
    """
    return ServedChute(chute, settings if settings is not None else Settings.from_env())


def create_app(chute: Chute) -> FastAPI:
    """The FastAPI application of a chute, without the wrapper that `chute` itself is around it."""
    return chute.app


def _fastapi_options(chute: Chute) -> dict[str, Any]:
    config = chute.config
    check_installed(config.fastapi_options, inspect.signature(FastAPI).parameters, fastapi.__version__)
    options: dict[str, Any] = {"title": config.name}
    if config.tagline:
        options["summary"] = config.tagline
    if config.readme:
        options["description"] = config.readme
    if config.revision:
        options["version"] = config.revision
    # The docs pages are ours: FastAPI's load their scripts from a content delivery network.
    return options | dict(config.fastapi_options) | {"docs_url": None, "redoc_url": None}


def _invalid_input(_request: Request, error: Exception) -> Response:
    # FastAPI's own handler shows the input too, but fails where that holds NaN, half a character pair, bytes that are
    # no text, or a thousand lists in each other.
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these
    try:
        encoders = {bytes: lambda value: value.decode(errors="replace")}
        body = encode_json({"detail": jsonable_encoder(error.errors(), custom_encoder=encoders)})
    except (ValueError, RecursionError):
        told = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
        body = encode_json({"detail": told})
    return Response(body, 422, media_type="application/json")


def _engine_refused(_request: Request, error: Exception) -> Response:
    # A cord that asked the model while its engine could not answer: the caller may try again.
    wait = max(1, round(getattr(error, "retry_after", None) or 1))
    return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": str(wait)})


def _internal_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        # Nobody reads this; it is counted as what it is.
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if isinstance(error, HTTPException):
        # It was raised in middleware, outside of FastAPI's handling: a body over the limit, say.
        return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
    # The exception's text stays in the log: it may hold what no client should see.
    body: dict[str, Any] = {"detail": "Internal Server Error"}
    request_id = exchange_of(request.scope).request_id
    if request_id:
        body["request_id"] = request_id
    return JSONResponse(body, status_code=500)
