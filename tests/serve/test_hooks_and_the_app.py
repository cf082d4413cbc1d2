"""What hooks add to the FastAPI application, and its own lifespan."""

from contextlib import asynccontextmanager

import pytest
from fastapi import Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse

from chutes.testing import TestClient
from support.serving import new_chute


class OwnError(Exception): ...


@pytest.fixture
def chute():
    return new_chute()


def test_what_a_hook_adds_to_the_app_acts_on_every_request(chute):
    @chute.on_startup()
    async def configure(self):
        self.app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])

        @self.app.middleware("http")
        async def mark(request, call_next):
            response = await call_next(request)
            response.headers["X-Mark"] = request.state.request_id
            return response

        @self.app.get("/custom")
        async def custom():
            return {"message": "custom"}

        @self.app.exception_handler(OwnError)
        async def own(request, error):
            return JSONResponse({"own": str(error)}, status_code=418)

        @self.app.exception_handler(Exception)
        async def any_other(request, error):
            return JSONResponse(
                {"error": type(error).__name__, "id": request.state.request_id}, status_code=500
            )

    @chute.cord("/run")
    async def run(self, what: str):
        if what == "own":
            raise OwnError("x")
        return 1 / int(what)

    with TestClient(chute, headers={"Origin": "http://a", "X-Request-ID": "r-1"}) as client:
        ok, own, other = (client.post("/run", json={"what": what}) for what in ("1", "own", "0"))
        custom = client.get("/custom")
    assert (ok.json(), ok.headers["access-control-allow-origin"], ok.headers["X-Mark"]) == (1.0, "*", "r-1")
    assert (own.status_code, own.json()) == (418, {"own": "x"})
    assert (other.status_code, other.json()) == (500, {"error": "ZeroDivisionError", "id": "r-1"})
    assert (custom.json(), custom.headers["X-Mark"]) == ({"message": "custom"}, "r-1")


def test_middleware_of_a_hook_acts_on_cords_that_the_app_has_met_before(chute):
    @chute.cord("/run")
    async def run(self):
        return "ok"

    assert chute.app.openapi()

    @chute.on_startup()
    def add(self):
        @self.middleware("http")
        async def mark(request, call_next):
            response = await call_next(request)
            response.headers["X-Mark"] = "yes"
            return response

    with TestClient(chute) as client:
        assert client.post("/run").headers["X-Mark"] == "yes"


def test_middleware_that_comes_after_the_start_is_refused(chute):
    @chute.cord("/run")
    async def run(self):
        self.app.add_middleware(CORSMiddleware)

    with TestClient(chute, raise_errors=True) as client:
        client.get("/any")
        with pytest.raises(RuntimeError, match="middleware"):
            client.post("/run")


def test_the_lifespan_of_the_app_runs_inside_the_hooks_and_its_state_reaches_requests():
    events = []

    @asynccontextmanager
    async def lifespan(app):
        events.append("lifespan in")
        yield {"model": "gpt2"}
        events.append("lifespan out")

    chute = new_chute(lifespan=lifespan)
    chute.on_startup()(lambda self: events.append("startup"))

    @chute.on_shutdown()
    def stop(self):
        events.append("shutdown")

    @chute.cord("/run")
    async def run(self, request: Request):
        return [request.state.model, bool(request.state.request_id)]

    with TestClient(chute) as client:
        assert client.post("/run").json() == ["gpt2", True]
    assert events == ["startup", "lifespan in", "lifespan out", "shutdown"]


def test_a_lifespan_that_fails_ends_the_start():
    @asynccontextmanager
    async def lifespan(app):
        raise OwnError("x")
        yield

    with pytest.raises(OwnError), TestClient(new_chute(lifespan=lifespan)):
        pass


def test_what_hooks_add_to_the_app_is_there_once_after_a_second_start(chute):
    @chute.on_startup()
    async def start(self):
        @self.app.middleware("http")
        async def mark(request, call_next):
            response = await call_next(request)
            response.headers.append("X-Mark", "yes")
            return response

        @self.app.get("/custom")
        async def custom():
            return "custom"

    for _ in range(2):
        with TestClient(chute) as client:
            response = client.get("/custom")
            assert response.headers.get_list("X-Mark") == ["yes"]
            assert [route.path for route in chute.app.routes].count("/custom") == 1
            assert client.get("/openapi.json").status_code == 200
