"""The short way keeps its place among handlers, middleware, routes and options of FastAPI's own."""

import pytest
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.routing import Host, Match, Mount, Route, Router

from serve.fast_path.asgi import JSON, MARK, Call
from serve.fast_path.stacks import CALLS, GOOD, STACKS, compare_all, cords, run
from serve.fast_path.twins import twins


@pytest.mark.parametrize("stack", STACKS)
async def test_behind_every_stack_calls_are_answered_alike(stack):
    short = None if stack.startswith("breaking") or stack == "emptied" else True
    await compare_all(STACKS[stack], short=short)


async def anything(request: Request):
    return PlainTextResponse(f"{request.method} {request.url.path} {request.path_params}")


async def echo_path(scope, receive, send):
    await PlainTextResponse(f"{scope['root_path']} {scope['path']}")(scope, receive, send)


def before(*routes):
    """The cords behind routes of the user's own."""

    def defined(chute):
        chute.app.router.routes.extend(routes)
        cords(chute)

    return defined


def after(*routes):
    """The cords before routes of the user's own."""

    def defined(chute):
        cords(chute)
        chute.app.router.routes.extend(routes)

    return defined


class ByHeader(Route):
    """Takes every request with a certain header."""

    def matches(self, scope):
        if any(name == b"x-mine" for name, _ in scope["headers"]):
            return Match.FULL, {"endpoint": self.endpoint, "path_params": {}}
        return Match.NONE, {}


def any_path(*methods):
    return Route("/{rest:path}", anything, methods=list(methods) or ["GET", "POST"])


def included(chute):
    router = APIRouter()
    router.add_api_route("/{rest:path}", anything, methods=["POST"])
    chute.app.include_router(router)
    cords(chute)


def placed_by_cords(chute):
    @chute.cord("/{rest}")
    async def swallow(self, rest: str, text: str = "a"):
        return [rest, text]

    cords(chute)


def placed_after_cords(chute):
    cords(chute)

    @chute.cord("/{rest}")
    async def swallow(self, rest: str, text: str = "a"):
        return [rest, text]


ROUTES = {
    "a placeholder before": (before(Route("/{one}", anything, methods=["POST"])), False),
    "a placeholder before, another verb": (before(Route("/{one}", anything, methods=["PATCH"])), True),
    "a placeholder after": (after(Route("/{one}", anything, methods=["POST"])), True),
    "any path before": (before(any_path()), False),
    "any path after": (after(any_path()), True),
    "a mount at / before": (before(Mount("/", echo_path)), False),
    "a mount at / after": (after(Mount("/", echo_path)), True),
    "a mount elsewhere before": (before(Mount("/other", echo_path)), True),
    "a mount that begins alike before": (before(Mount("/ru", echo_path)), True),
    "the same path before": (before(Route("/run", anything, methods=["POST"])), False),
    "an application of routes before": (before(Mount("/run", Router([any_path()]))), True),
    "a host before": (before(Host("127.0.0.1", echo_path)), None),
    "another host before": (before(Host("example.org", echo_path)), None),
    "a header before": (before(ByHeader("/own", anything)), None),
    "an included router before": (included, False),
    "a cord before": (placed_by_cords, False),
    "a cord after": (placed_after_cords, True),
}
MARKED = (
    Call(headers=(JSON, MARK, (b"x-mine", b"1"))),
    Call(headers=(JSON, MARK, (b"host", b"example.org"))),
)


@pytest.mark.parametrize("name", ROUTES)
async def test_routes_are_tried_in_their_order(name):
    define, short = ROUTES[name]
    await compare_all(define, short=short, calls=(*CALLS, *MARKED))


async def test_a_route_that_is_added_while_requests_are_served_takes_its_place():
    async with twins(cords) as both:
        await both.compare(GOOD, short=True)
        for side in (both.short, both.long):
            side.app.router.routes.insert(0, Route("/run", anything, methods=["POST"]))
        assert (await both.compare(GOOD, short=False)).body.startswith(b"POST /run")
        for side in (both.short, both.long):
            # As many routes as before, but others.
            side.app.router.routes[0] = Route("/elsewhere", anything)
        await both.compare(GOOD, short=True)
        for side in (both.short, both.long):
            side.app.router.routes[:] = [
                one for one in side.app.router.routes if getattr(one, "path", "") != "/run"
            ]
        assert (await both.compare(GOOD)).status == 404


async def test_a_cord_that_is_added_while_requests_are_served_is_served():
    async def late(self, text: str):
        return f"late {text}"

    async with twins(cords) as both:
        call = Call(path="/late", chunks=(b'{"text": "a"}',))
        assert (await both.compare(call)).status == 404
        for side in (both.short, both.long):
            side.chute.cord("/late")(late)
        await both.compare(call, short=True)


async def test_a_second_cord_on_a_path_ends_its_short_way():
    async def streaming(self, text: str = "a", stream: bool = False):
        yield text

    async with twins(cords) as both:
        call = Call(chunks=(b'{"text": "a", "stream": true}',))
        await both.compare(call, short=True)
        for side in (both.short, both.long):
            side.chute.cord("/run", stream=True)(streaming)
        assert (await both.compare(call, short=False)).body == b"a"
        await both.compare(GOOD, short=False)


def needing(request: Request):
    return request.method


async def test_dependencies_of_the_application_run_before_each_cord():
    await compare_all(cords, short=False, dependencies=[Depends(needing)])


async def test_dependency_overrides_act():
    def define(chute):
        def original():
            return "original"

        @chute.cord("/run")
        async def with_dependency(self, text: str = "a", given: str = Depends(original)):
            return given

        chute.app.dependency_overrides[original] = lambda: "replaced"

    async with twins(define) as both:
        assert (await both.compare(Call(), short=False)).body == b'"replaced"'


async def test_an_override_that_nothing_depends_on_changes_nothing():
    def define(chute):
        cords(chute)
        chute.app.dependency_overrides[run] = lambda: "replaced"

    await compare_all(define, short=True)


class OwnJSON(JSONResponse):
    media_type = "application/own+json"


@pytest.mark.parametrize(
    ("options", "short"),
    [
        ({"default_response_class": OwnJSON}, False),
        ({"default_response_class": PlainTextResponse}, False),
        ({"debug": True}, False),
        ({"redirect_slashes": False}, True),
        ({"strict_content_type": False}, True),
        ({"max_body_size": 3}, None),
        ({"openapi_url": None}, True),
        ({"responses": {404: {"description": "none"}}}, True),
        ({"swagger_ui_parameters": {}}, True),
    ],
    ids=str,
)
async def test_options_of_the_application_act(options, short):
    await compare_all(cords, short=short, **options)
