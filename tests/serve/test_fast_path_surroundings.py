"""The short way goes wherever the chute is put: under a prefix, inside another application, behind instruments."""

from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from opentelemetry import trace
from starlette.applications import Starlette
from starlette.routing import Host, Mount

from chutes.serve.app import create_app
from serve.fast_path.asgi import JSON, MARK, Call, drive
from serve.fast_path.stacks import CALLS, GOOD, compare_all, cords, with_handlers
from serve.fast_path.twins import twins


async def tell(self, request: Request, text: str = "a"):
    """All that a function may see of where it is."""
    scope = request.scope
    self.seen.append(
        (
            scope["path"],
            scope["root_path"],
            scope["path_params"],
            scope["route"].path,
            request.app is self.app,
        )
    )
    self.seen.append(
        (
            str(request.url),
            str(request.base_url),
            request.url_for("tell").path,
            str(request.url_for("openapi")),
        )
    )
    self.seen.append({name: value for name, value in request.state._state.items() if name != "request_id"})
    self.seen.append(
        (
            await request.body(),
            await request.json(),
            [part async for part in request.stream()],
            await request.body(),
        )
    )
    self.seen.append(
        (request.method, dict(request.headers), request.client, request.cookies, dict(request.query_params))
    )
    return text


async def tell_of_a_query(self, request: Request, text: str = "a"):
    self.seen.append(
        (request.url.path, request.scope["path_params"], request.app is self.app, await request.body())
    )
    return text


def telling(chute):
    with_handlers(chute)
    chute.cord("/tell")(tell)
    chute.cord("/ask", method="GET")(tell_of_a_query)


TELLING = (
    Call(path="/tell", chunks=(b'{"te', b'xt": "b"}'), query=b"a=1"),
    Call(path="/ask", method="GET", query=b"text=b"),
)


def under(prefix, calls):
    """The calls as a server makes them whose proxy has put the chute under a prefix."""
    return [Call(**{**_fields(call), "path": prefix + call.path, "root_path": prefix}) for call in calls]


def _fields(call):
    return {name: getattr(call, name) for name in Call.__dataclass_fields__}


async def test_a_function_sees_the_same_request():
    await compare_all(telling, short=True, calls=TELLING)


async def test_under_a_prefix():
    async with twins(telling) as both:
        for call in under("/v1", (*CALLS, *TELLING)):
            await both.compare(call)
        for call in under("/v1", (GOOD, *TELLING)):
            await both.compare(call, short=True)


async def test_under_a_prefix_that_the_paths_lack():
    async with twins(telling) as both:
        for call in (*CALLS, *TELLING):
            await both.compare(Call(**{**_fields(call), "root_path": "/v1"}))


@pytest.mark.filterwarnings("ignore:The `root_path`")
@pytest.mark.parametrize("root_path", ["/v1", "/run", "/v1/"])
async def test_with_a_root_path_of_its_own(root_path):
    async with twins(telling, root_path=root_path) as both:
        for call in (*CALLS, *TELLING, *under("/v1", (GOOD, *TELLING))):
            await both.compare(call)


def fastapi_around(chute):
    app = FastAPI()
    app.mount("/outer", chute)
    return app


OUTER = {
    "mounted under a path": lambda chute: Starlette(routes=[Mount("/outer", chute)]),
    "mounted at /": lambda chute: Starlette(routes=[Mount("/", chute)]),
    "mounted with a placeholder": lambda chute: Starlette(routes=[Mount("/{tenant}", chute)]),
    "mounted by host": lambda chute: Starlette(routes=[Host("{sub}.example.org", chute), Mount("/", chute)]),
    "the application alone": create_app,
    "the application, mounted": lambda chute: Starlette(routes=[Mount("/outer", create_app(chute))]),
    "mounted in FastAPI": fastapi_around,
}


@pytest.mark.parametrize("name", OUTER)
async def test_inside_another_application(name):
    prefix = (
        "/outer"
        if "Fast" in name or "path" in name or "placeholder" in name or name[-7:] == "mounted"
        else ""
    )
    host = (b"host", b"a.example.org")
    async with twins(telling, around=OUTER[name]) as both:
        for call in (*CALLS, *TELLING):
            await both.compare(
                Call(**{**_fields(call), "path": prefix + call.path, "headers": (*call.headers, host)})
            )
        await both.compare(Call(path=f"{prefix}/run"), short=True)


async def test_the_state_of_the_lifespan_reaches_the_function():
    @asynccontextmanager
    async def lifespan(app):
        yield {"from_the_lifespan": 1}

    await compare_all(telling, short=True, calls=TELLING, lifespan=lifespan)


class Instrument:
    """What instruments of other libraries do: they wrap the whole stack when it is built."""

    def __init__(self, app: Any, paths: list[str]) -> None:
        self.app, self.paths = app, paths

    async def __call__(self, scope, receive, send):
        self.paths.append(scope["path"])
        await self.app(scope, receive, send)


async def test_an_instrument_around_the_stack_sees_every_request():
    def instrumented(chute):
        telling(chute)
        build = chute.app.build_middleware_stack
        chute.app.build_middleware_stack = lambda: Instrument(build(), chute.seen)

    async with twins(instrumented) as both:
        for call in (*CALLS, *TELLING):
            await both.compare(call)
        await both.compare(GOOD, short=True)
        assert "/run" in both.short.seen


async def test_a_stack_that_was_replaced_sees_every_request():
    async with twins(cords) as both:
        await both.compare(GOOD, short=True)
        for side in (both.short, both.long):
            side.app.middleware_stack = Instrument(side.app.middleware_stack, side.seen)
        await both.compare(GOOD, short=True)
        assert "/run" in both.short.seen


class Tracer(trace.NoOpTracer):
    def __init__(self, seen):
        self.seen = seen

    def start_span(self, name, *arguments, **options):
        self.seen.append(name)
        return super().start_span(name, *arguments, **options)


class Provider(trace.TracerProvider):
    """Where an OpenTelemetry SDK would be."""

    def __init__(self, seen):
        self.seen = seen

    def get_tracer(self, *arguments, **options):
        return Tracer(self.seen)


@pytest.mark.skipif(not hasattr(FastAPI(), "_native_telemetry"), reason="this FastAPI reports nothing itself")
async def test_fastapis_own_telemetry_sees_every_request():
    def traced(chute):
        chute.app._native_telemetry.config["tracer_provider"] = Provider(chute.seen)
        cords(chute)

    async with twins(traced) as both:
        for call in CALLS:
            await both.compare(call)
        await both.compare(GOOD, short=False)
        assert both.short.seen


async def test_without_a_lifespan_the_first_request_is_answered_too():
    async with twins(cords) as both:
        pass
    for side in (both.short, both.long):
        # As a server that knows no lifespan leaves it.
        side.served.lifecycle.state = type(side.served.lifecycle.state).NEW
        side.app.middleware_stack = None
    await both.compare(GOOD)
    await both.compare(GOOD, short=True)


async def test_an_untested_fastapi_has_no_short_way(monkeypatch, caplog):
    monkeypatch.setattr("fastapi.__version__", "99.0.0")
    async with twins(cords) as both:
        await both.compare(GOOD, short=False)
    assert "FastAPI 99.0.0 was not tested" in caplog.text


async def test_a_draining_chute_closes_its_connections():
    async with twins(cords) as both:
        for side in (both.short, both.long):
            side.served.lifecycle.drain()
        answer = await both.compare(GOOD, short=True)
        assert (b"connection", b"close") in answer.headers


async def test_ids_of_requests_are_kept_or_made():
    async with twins(cords) as both:
        for mark in (b"abc", b"not sane", b""):
            answer = await both.compare(Call(headers=(JSON, (b"x-request-id", mark))), short=True)
            (found,) = (value for name, value in answer.headers if name == b"x-request-id")
            assert (found == mark) is (mark == b"abc")
        one, two = [dict((await drive(both.short.chute, Call(headers=(JSON,)))).headers) for _ in range(2)]
        assert len(one[b"x-request-id"]) >= 16
        assert one[b"x-request-id"] != two[b"x-request-id"]
        assert MARK[1] not in one.values()
