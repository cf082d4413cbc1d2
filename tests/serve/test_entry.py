"""What every request meets first: its id, the probes, the body limit, the last word on errors."""

import asyncio
import logging
import re

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response, UploadFile
from fastapi.middleware.cors import CORSMiddleware

from chutes.serve.logs import current_request_id
from chutes.testing import TestClient
from support.serving import new_chute, serving

HEX = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def chute():
    return new_chute()


@pytest.fixture
def client(chute):
    @chute.cord("/run")
    async def run(self, request: Request):
        return request.state.request_id

    @chute.cord("/fail")
    async def fail(self):
        raise ValueError("secret")

    @chute.cord("/stream", stream=True)
    async def stream(self, request: Request):
        yield request.state.request_id

    with TestClient(chute) as client:
        yield client


def test_the_request_id_is_that_of_the_request(client):
    response = client.post("/run", headers={"X-Request-ID": "Abc-1._:/+=@"})
    assert (response.headers["x-request-id"], response.json()) == ("Abc-1._:/+=@",) * 2


@pytest.mark.parametrize("given", [None, "", " ", "a b", "a\tb", "x" * 129, '"x"', "a;b", "ü".encode(), "{}"])
def test_an_id_that_is_missing_or_odd_is_replaced(client, given):
    response = client.post("/run", headers={} if given is None else {"X-Request-ID": given})
    assert HEX.fullmatch(response.headers["x-request-id"])
    assert response.json() == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/run", 200),
        ("POST", "/stream", 200),
        ("GET", "/run", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/fail", 500),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("POST", "/run/", 307),
    ],
)
def test_every_answer_has_the_id_once(client, method, path, status):
    response = client.request(method, path, headers={"X-Request-ID": "r-1"})
    assert response.status_code == status
    assert response.headers.get_list("x-request-id") == ["r-1"]


def test_an_id_that_the_users_code_sets_is_not_doubled(chute):
    @chute.cord("/run")
    async def run(self):
        return Response("x", headers={"X-Request-ID": "own"})

    with TestClient(chute) as client:
        response = client.post("/run", headers={"X-Request-ID": "r-1"})
    assert response.headers.get_list("x-request-id") == ["r-1"]


def test_the_id_is_in_each_log_line(chute, caplog):
    seen = []

    class Seen(logging.Handler):
        def emit(self, record):
            seen.append(current_request_id.get())

    chute.logger.addHandler(handler := Seen())
    chute.logger.setLevel(logging.INFO)
    try:

        def blocking(self):
            self.logger.info("from a thread")

        @chute.cord("/async")
        async def asynchronous(self):
            self.logger.info("from the loop")

        with serving(blocking, chute=chute) as client:
            client.post("/run", headers={"X-Request-ID": "r-1"})
            client.post("/async", headers={"X-Request-ID": "r-2"})
    finally:
        chute.logger.removeHandler(handler)
    assert seen == ["r-1", "r-2"]


def test_an_unhandled_error_is_500_with_the_id_and_without_the_text(client, caplog):
    response = client.post("/fail", headers={"X-Request-ID": "r-1"})
    assert (response.status_code, response.json()) == (
        500,
        {"detail": "Internal Server Error", "request_id": "r-1"},
    )
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert errors[0].name == "chutes.acme.probe"
    assert errors[0].getMessage() == "POST /fail failed: ValueError: secret"


def test_the_logged_traceback_begins_at_the_users_function(client, caplog):
    client.post("/fail")
    frames = re.findall(r'File "(.+?)", line \d+, in (\w+)', caplog.text)
    assert frames == [(__file__, "fail")]


ERRORS = [
    ValueError("x"),
    KeyError(),
    RuntimeError("a" * 9000),
    StopIteration("x"),
    TimeoutError(),
    SystemExit(3),
    KeyboardInterrupt(),
    GeneratorExit(),
    asyncio.CancelledError(),
]


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_any_error_of_a_cord_is_500_and_the_next_request_is_served(chute, error, synchronous, caplog):
    def fail(self):
        raise error

    async def fail_later(self):
        raise error

    with serving(fail if synchronous else fail_later, chute=chute) as client:
        assert client.post("/run").json()["detail"] == "Internal Server Error"
        assert client.post("/run", headers={"X-Request-ID": "r-2"}).headers["x-request-id"] == "r-2"
        assert client.get("/readyz").status_code == 200
    assert caplog.text.count("POST /run failed: ") == 2


def test_http_exceptions_are_answers_and_not_logged_as_errors(chute, caplog):
    async def run(self):
        raise HTTPException(418, {"reason": "teapot"}, headers={"X-A": "1"})

    with serving(run, chute=chute) as client:
        response = client.post("/run")
    assert (response.status_code, response.json(), response.headers["X-A"]) == (
        418,
        {"detail": {"reason": "teapot"}},
        "1",
    )
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_error_in_middleware_is_500_too(chute, caplog):
    @chute.middleware("http")
    async def broken(request, call_next):
        raise ValueError("secret")

    with TestClient(chute) as client:
        response = client.get("/any")
    assert (response.status_code, response.json()["detail"]) == (500, "Internal Server Error")
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert caplog.text.count("GET /any failed: ValueError: secret") == 1


def test_an_error_after_the_answer_has_begun_breaks_it_off(chute, caplog):
    class Broken(Response):
        async def __call__(self, scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            raise ValueError("x")

    async def run(self):
        return Broken()

    with serving(run, chute=chute) as client, pytest.raises(httpx2.RemoteProtocolError):
        client.post("/run")
    assert caplog.text.count("POST /run failed: ValueError: x") == 1


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/metrics", "/docs", "/openapi.json"])
@pytest.mark.parametrize("how", ["cord", "route", "mount"])
def test_a_route_for_everything_swallows_no_page_of_ours(chute, path, how):
    if how == "cord":
        chute.cord("/{anything:path}", method="GET")(lambda self, anything: f"mine: {anything}")
    elif how == "route":
        chute.app.get("/{x}")(lambda x: f"mine: {x}")
    else:
        sub = FastAPI()
        sub.get("/{anything:path}")(lambda anything: f"mine: {anything}")
        chute.app.mount("/", sub)
    with TestClient(chute) as client:
        assert "mine" not in client.get(path).text
        assert client.get("/other").json() == "mine: other"


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json", "/redoc"])
@pytest.mark.parametrize("how", ["cord", "route", "router", "hook"])
def test_a_route_of_the_users_on_literally_that_path_wins(chute, path, how):
    def own():
        return "mine"

    if how == "cord":
        chute.cord(path, method="GET")(lambda self: "mine")
    elif how == "route":
        chute.app.get(path)(own)
    elif how == "router":
        router = APIRouter()
        router.get(path)(own)
        chute.app.include_router(router)
    else:
        chute.on_startup()(lambda self: self.app.get(path)(own) and None)
    with TestClient(chute) as client:
        assert client.get(path).json() == "mine"


def test_a_sub_application_at_a_prefix_is_reached(chute):
    sub = FastAPI()
    sub.get("/health")(lambda: "the sub-application's")
    chute.app.mount("/sub", sub)
    with TestClient(chute) as client:
        assert client.get("/sub/health").json() == "the sub-application's"
        assert client.get("/health").json()["status"] == "healthy"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_the_two_lifecycle_probes_cannot_be_replaced(chute, path):
    chute.app.get(path)(lambda: "mine")
    with TestClient(chute) as client:
        assert client.get(path).json() != "mine"


async def size(self, request: Request):
    return len(await request.body())


def in_parts(total, part=1000):
    for start in range(0, total, part):
        yield b"x" * min(part, total - start)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_413(announced):
    chute = new_chute(max_body_size=5000)

    @chute.cord("/object")
    async def by_name(self, text: str):
        return len(text)

    def body(total):
        return b"x" * total if announced else in_parts(total)

    with serving(size, chute=chute) as client:
        assert client.post("/run", content=body(5000)).json() == 5000
        refused = client.post("/run", content=body(5001))
        assert client.post("/run", content=body(100_000)).status_code == 413
        named = client.post("/object", content=body(5001), headers={"content-type": "application/json"})
        assert client.post("/run", content=b"").json() == 0
    for response in (refused, named):
        assert response.status_code == 413
        assert "5000 bytes" in response.json()["detail"]
        assert response.headers["x-request-id"]


def test_the_limit_holds_for_forms_and_for_routes_of_the_app():
    chute = new_chute(max_body_size=5000)
    chute.app.post("/own")(lambda payload: 1)

    @chute.cord("/upload")
    async def upload(self, file: UploadFile):
        return file.size

    with TestClient(chute) as client:
        files = {"file": b"x" * 5000}
        assert client.post("/upload", files={"file": b"x"}).json() == 1
        assert client.post("/upload", files=files).status_code == 413
        form = {"content-type": "multipart/form-data; boundary=b"}
        head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        assert client.post("/upload", content=iter([head, *in_parts(9000)]), headers=form).status_code == 413
        assert client.post("/own", content=b"x" * 5001).status_code == 413


def test_a_body_over_the_limit_that_middleware_reads_is_413():
    chute = new_chute(max_body_size=5000)

    @chute.middleware("http")
    async def reading(request, call_next):
        await request.body()
        return await call_next(request)

    with serving(size, chute=chute) as client:
        assert client.post("/run", content=in_parts(5000)).json() == 5000
        assert client.post("/run", content=in_parts(9000)).status_code == 413


@pytest.mark.parametrize("length", ["abc", "-1", "1e3", ""])
def test_a_length_that_is_no_number_lets_nothing_past_the_limit(length):
    chute = new_chute(max_body_size=5000)
    with serving(size, chute=chute) as client:
        response = client.post("/run", content=in_parts(9000), headers={"content-length": length})
    assert response.status_code in (400, 413)


def test_cors_middleware_of_the_app_answers_preflights(chute):
    chute.app.add_middleware(CORSMiddleware, allow_origins=["http://a"], allow_methods=["POST"])
    chute.cord("/run")(size)
    headers = {"Origin": "http://a", "Access-Control-Request-Method": "POST"}
    with TestClient(chute) as client:
        preflight = client.options("/run", headers=headers)
        answer = client.post("/run", headers={"Origin": "http://a"})
    assert (preflight.status_code, answer.status_code) == (200, 200)
    assert preflight.headers["access-control-allow-origin"] == "http://a"
    assert answer.headers["access-control-allow-origin"] == "http://a"


def test_probes_and_pages_answer_under_the_root_path_of_a_proxy(chute):
    chute.cord("/run")(size)
    with TestClient(chute, root_path="/v1") as client:
        for path in ("/livez", "/readyz", "/health", "/metrics", "/openapi.json", "/docs"):
            assert client.get(path).status_code == 200, path
        assert client.post("/run").json() == 0
        assert "/v1/openapi.json" in client.get("/docs").text
