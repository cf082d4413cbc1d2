"""Keyword arguments of the chute that go to FastAPI act on cords."""

import warnings
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware import Middleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.routing import Route

from chutes.testing import TestClient
from support.serving import new_chute, serving


class OwnError(Exception): ...


async def run(self, value: int = 0, text: str = ""):
    if text == "own":
        raise OwnError(text)
    return {"value": 1 / value if value else 0, "text": text}


def client_of(**options):
    return serving(run, chute=new_chute(**options))


def test_texts_are_in_the_document():
    options = {
        "title": "Title",
        "description": "Description",
        "version": "2.0",
        "summary": "Summary",
        "terms_of_service": "http://a/terms",
        "contact": {"name": "A"},
        "license_info": {"name": "MIT"},
        "openapi_tags": [{"name": "text"}],
        "servers": [{"url": "http://a"}],
    }
    with client_of(**options) as client:
        document = client.get("/openapi.json").json()
    info = document["info"]
    assert (info["title"], info["version"], info["summary"]) == ("Title", "2.0", "Summary")
    assert (info["contact"], info["license"]) == ({"name": "A"}, {"name": "MIT"})
    assert (document["tags"], document["servers"]) == ([{"name": "text"}], [{"url": "http://a"}])


def test_dependencies_guard_every_cord():
    def guard(x_token: Annotated[str, Header()] = ""):
        if x_token != "t":
            raise HTTPException(403, "no")

    with client_of(dependencies=[Depends(guard)]) as client:
        assert client.post("/run", json={}).status_code == 403
        assert client.post("/run", json={}, headers={"X-Token": "t"}).status_code == 200
        assert client.get("/health").status_code == 200
        operation = client.get("/openapi.json").json()["paths"]["/run"]["post"]
    assert [one["name"] for one in operation["parameters"]] == ["x-token"]


def test_middleware_wraps_every_cord():
    with client_of(middleware=[Middleware(GZipMiddleware, minimum_size=1)]) as client:
        response = client.post("/run", json={"text": "a" * 1000}, headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.json()["text"] == "a" * 1000


def test_plain_asgi_middleware_sees_a_cord_as_it_sees_a_route():
    seen = []

    class Watching:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            async def sending(message):
                seen.append(message["type"])
                await send(message)

            await self.app(scope, receive, sending)
            if scope["type"] == "http":
                seen.append(
                    (type(scope["route"]).__mro__[1], scope["endpoint"].__name__, scope["path_params"])
                )

    with client_of(middleware=[Middleware(Watching)]) as client:
        client.post("/run", json={})
    assert seen[-3:] == ["http.response.start", "http.response.body", (APIRoute, "run", {})]


def test_exception_handlers_answer_for_cords():
    async def own(request, error):
        return JSONResponse({"own": str(error), "id": request.state.request_id}, status_code=418)

    async def any_other(request, error):
        return JSONResponse({"other": type(error).__name__}, status_code=500)

    async def missing(request, error):
        return JSONResponse({"missing": request.url.path}, status_code=404)

    handlers = {OwnError: own, Exception: any_other, 404: missing}
    with client_of(exception_handlers=handlers) as client:
        response = client.post("/run", json={"text": "own"}, headers={"X-Request-ID": "r-1"})
        assert (response.status_code, response.json()) == (418, {"own": "own", "id": "r-1"})
        assert client.get("/nowhere").json() == {"missing": "/nowhere"}


@pytest.mark.parametrize("takes_request", [True, False])
@pytest.mark.parametrize("body", [{"text": "own"}, {"text": "http"}, {"text": 1}])
def test_a_handler_may_read_the_body_of_the_request_that_failed(takes_request, body):
    async def show(request, error):
        return JSONResponse([type(error).__name__, await request.json()], status_code=418)

    def fail(text):
        raise OwnError(text) if text == "own" else HTTPException(400)

    async def with_request(self, text: str, request: Request):
        fail(text)

    async def without(self, text: str):
        fail(text)

    handlers = {OwnError: show, HTTPException: show, RequestValidationError: show}
    chute = new_chute(exception_handlers=handlers)
    with serving(with_request if takes_request else without, chute=chute) as client:
        name, shown = client.post("/run", json=body, timeout=5).json()
    assert shown == body
    assert name in ("OwnError", "HTTPException", "RequestValidationError")


@pytest.mark.parametrize("code", [500, Exception])
def test_a_handler_for_everything_replaces_our_answer_and_the_error_is_logged(code, caplog):
    async def any_other(request, error):
        return JSONResponse({"other": type(error).__name__}, status_code=500)

    async def failing(self):
        raise OwnError("x")

    with serving(failing, chute=new_chute(exception_handlers={code: any_other})) as client:
        response = client.post("/run")
    assert (response.status_code, response.json()) == (500, {"other": "OwnError"})
    assert caplog.text.count("POST /run failed: OwnError: x") == 1


def test_responses_are_documented_for_every_cord():
    with client_of(responses={418: {"description": "Teapot"}}) as client:
        operation = client.get("/openapi.json").json()["paths"]["/run"]["post"]
    assert operation["responses"]["418"]["description"] == "Teapot"


@pytest.mark.parametrize(
    ("options", "statuses"),
    [
        ({}, {"/docs": 200, "/redoc": 200, "/openapi.json": 200}),
        ({"docs_url": None}, {"/docs": 404, "/redoc": 200, "/openapi.json": 200}),
        ({"redoc_url": None}, {"/docs": 200, "/redoc": 404, "/openapi.json": 200}),
        ({"docs_url": "/manual"}, {"/docs": 404, "/manual": 200, "/openapi.json": 200}),
        ({"openapi_url": "/api.json"}, {"/openapi.json": 404, "/api.json": 200, "/docs": 200}),
        ({"openapi_url": None}, {"/openapi.json": 404, "/docs": 404, "/redoc": 404}),
    ],
)
def test_the_pages_are_where_the_options_put_them(options, statuses):
    with client_of(**options) as client:
        assert {path: client.get(path).status_code for path in statuses} == statuses
        if statuses.get("/docs") == 200:
            assert options.get("openapi_url", "/openapi.json") in client.get("/docs").text


def test_the_pages_load_nothing_from_elsewhere():
    with client_of() as client:
        for page in ("/docs", "/redoc"):
            text = client.get(page).text
            assert "//cdn" not in text
            assert "https://" not in text
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png"):
            assert client.get(f"/docs-assets/{asset}").status_code == 200
        assert client.get("/docs/oauth2-redirect").status_code == 200


def test_a_root_path_is_in_the_document_and_both_forms_of_a_path_answer():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chute = new_chute(root_path="/v1")
        assert isinstance(chute.app, FastAPI)
    with serving(run, chute=chute) as client:
        assert client.post("/run", json={}).status_code == 200
        assert client.post("/v1/run", json={}).status_code == 200
        assert client.get("/openapi.json").json()["servers"] == [{"url": "/v1"}]
        assert "/v1/openapi.json" in client.get("/docs").text
        for probe in ("/livez", "/readyz", "/health", "/v1/livez", "/v1/readyz", "/v1/health"):
            assert client.get(probe).status_code == 200, probe


def test_routes_of_the_users_are_served():
    async def own(request):
        return JSONResponse("own")

    with client_of(routes=[Route("/own", own)]) as client:
        assert client.get("/own").json() == "own"
        assert client.post("/run", json={}).status_code == 200
        assert client.get("/docs").status_code == 200


def test_redirects_of_slashes_can_be_switched_off():
    with client_of(redirect_slashes=False) as client:
        assert client.post("/run/", json={}).status_code == 404


def test_ids_of_operations_are_made_by_the_users_function():
    with client_of(generate_unique_id_function=lambda route: f"my-{route.name}") as client:
        assert client.get("/openapi.json").json()["paths"]["/run"]["post"]["operationId"] == "my-run"


def test_cords_can_be_deprecated_or_hidden_together():
    with client_of(deprecated=True) as client:
        assert client.get("/openapi.json").json()["paths"]["/run"]["post"]["deprecated"] is True
    with client_of(include_in_schema=False) as client:
        assert client.get("/openapi.json").json()["paths"] == {}


def test_a_body_without_a_content_type_is_json_when_the_app_is_not_strict():
    for strict, status in ((True, 422), (False, 200)):
        with client_of(strict_content_type=strict) as client:
            request = client.build_request("POST", "/run", content=b'{"text": "a"}')
            request.headers.pop("content-type", None)
            assert client.send(request).status_code == status


def test_debug_shows_the_traceback_to_the_client():
    async def failing(self):
        raise OwnError("shown")

    with serving(failing, chute=new_chute(debug=True)) as client:
        assert "shown" in client.post("/run").text


def test_fastapis_own_startup_and_shutdown_lists_run():
    events = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chute = new_chute(
            on_startup=[lambda: events.append("up")], on_shutdown=[lambda: events.append("down")]
        )
        assert chute.app
    with TestClient(chute):
        assert events == ["up"]
    assert events == ["up", "down"]


def test_options_of_the_cords_route_act():
    def guard():
        raise HTTPException(403, "no")

    async def seen(self, request: Request):
        return request.scope["route"].name

    chute = new_chute()
    chute.cord("/guarded", dependencies=[Depends(guard)])(run)
    with serving(seen, chute=chute, operation_id="own-id", tags=["a"], deprecated=True) as client:
        assert client.post("/guarded", json={}).status_code == 403
        assert client.post("/run").json() == "seen"
        operation = client.get("/openapi.json").json()["paths"]["/run"]["post"]
    assert (operation["operationId"], operation["tags"], operation["deprecated"]) == ("own-id", ["a"], True)
