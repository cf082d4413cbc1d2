"""Requests through the test clients: what the application is told, and what comes back."""

import asyncio
import contextvars
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from fastapi import FastAPI, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from chutes.errors import ChutesError, ClientNotOpen
from chutes.testing import AsyncTestClient, TestClient

MEBIBYTE = 1024 * 1024


async def answer(send, body=b"", *, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def tell_scope(scope, receive, send):
    """Answers with what it was told about the request."""
    if scope["type"] == "http":
        told = {
            name: value
            for name, value in scope.items()
            if name not in {"headers", "raw_path", "query_string"}
        }
        told["raw_path"] = scope["raw_path"].decode()
        told["query_string"] = scope["query_string"].decode()
        told["headers"] = [(name.decode(), value.decode("latin-1")) for name, value in scope["headers"]]
        await answer(send, json.dumps(told).encode())


async def record_pieces(scope, receive, send):
    """Answers with the size of each part of the body, as received."""
    if scope["type"] != "http":
        return
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(len(message["body"]))
        more = message["more_body"]
    await answer(send, json.dumps(pieces).encode())


def test_the_application_is_told_what_a_server_would_tell():
    with TestClient(tell_scope, headers={"X-Token": "t"}) as client:
        scope = client.get("/a%20b/%C3%A9", params={"q": "x y", "n": 1}).json()
    headers = scope.pop("headers")
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/a b/é",
        "raw_path": "/a%20b/%C3%A9",
        "query_string": "q=x+y&n=1",
        "root_path": "",
        "client": ["127.0.0.1", 50000],
        "server": ["testserver", 80],
        "state": {},
    }
    assert ["x-token", "t"] in headers
    assert ["host", "testserver"] in headers
    assert all(name == name.lower() for name, _ in headers)


def test_the_path_is_decoded_once():
    with TestClient(tell_scope) as client:
        scope = client.get("/100%2525").json()
    assert (scope["path"], scope["raw_path"]) == ("/100%25", "/100%2525")


def test_a_root_path_stands_before_the_path_as_with_a_server():
    with TestClient(tell_scope, root_path="/v1", base_url="https://models.example:8443") as client:
        scope = client.get("/echo").json()
    assert scope["root_path"] == "/v1"
    assert (scope["path"], scope["raw_path"]) == ("/v1/echo", "/v1/echo")
    assert (scope["scheme"], scope["server"]) == ("https", ["models.example", 8443])


def test_the_client_address_can_be_chosen():
    with TestClient(tell_scope, client=("10.0.0.9", 4242)) as client:
        assert client.get("/").json()["client"] == ["10.0.0.9", 4242]


@pytest.mark.parametrize(
    ("option", "value"),
    [("root_path", "v1"), ("root_path", "/v1/"), ("lifespan_timeout", 0), ("shutdown_grace", -1.0)],
)
def test_an_option_that_cannot_be_is_refused(option, value):
    with pytest.raises(ValueError, match=f"Invalid {option} {value!r}"):
        TestClient(tell_scope, **{option: value})


def test_a_fastapi_application_answers_json_forms_and_files():
    app = FastAPI()

    @app.post("/double")
    async def double(numbers: list[int]):
        return [2 * number for number in numbers]

    @app.post("/size")
    def size(file: UploadFile, request: Request):
        return {"name": file.filename, "size": len(file.file.read()), "host": request.client.host}

    with TestClient(app) as client:
        assert client.post("/double", json=[1, 2]).json() == [2, 4]
        assert client.post("/double", json="no").status_code == 422
        answer = client.post("/size", files={"file": ("a.bin", b"x" * 300_000)}).json()
    assert answer == {"name": "a.bin", "size": 300_000, "host": "127.0.0.1"}


def test_a_small_body_arrives_in_one_message():
    with TestClient(record_pieces) as client:
        assert client.post("/", content=b"small").json() == [5]
        assert client.get("/").json() == [0]


def test_a_large_body_arrives_in_pieces_as_from_a_socket():
    with TestClient(record_pieces) as client:
        pieces = client.post("/", content=b"x" * (3 * MEBIBYTE + 1)).json()
    assert sum(pieces) == 3 * MEBIBYTE + 1
    assert max(pieces) == 64 * 1024


def test_an_iterator_is_uploaded_as_it_produces_and_on_the_tests_thread():
    threads = set()

    def parts():
        for _ in range(5):
            threads.add(threading.current_thread())
            yield b"x" * 1000

    with TestClient(record_pieces) as client:
        pieces = client.post("/", content=parts()).json()
    assert [size for size in pieces if size] == [1000] * 5
    assert threads == {threading.current_thread()}


async def test_an_async_iterator_is_uploaded_as_it_produces():
    async def parts():
        for _ in range(5):
            await asyncio.sleep(0)
            yield b"x" * 1000

    async with AsyncTestClient(record_pieces) as client:
        response = await client.post("/", content=parts())
    assert [size for size in response.json() if size] == [1000] * 5


async def test_the_async_transport_takes_no_plain_iterator():
    async with AsyncTestClient(record_pieces) as client:
        request = httpx2.Request("POST", "http://testserver/", content=iter([b"x"]))
        with pytest.raises(TypeError, match="use an async one"):
            await client.transport.handle_async_request(request)


def test_an_upload_of_100_mebibytes_by_iterator_is_never_held_whole():
    produced = consumed = most = 0

    async def swallow(scope, receive, send):
        nonlocal consumed
        if scope["type"] != "http":
            return
        more = True
        while more:
            message = await receive()
            consumed += len(message["body"])
            more = message["more_body"]
            await asyncio.sleep(0)
        await answer(send, str(consumed).encode())

    def parts():
        nonlocal produced, most
        for _ in range(100):
            yield bytes(MEBIBYTE)
            produced += MEBIBYTE
            most = max(most, produced - consumed)

    with TestClient(swallow) as client:
        assert client.post("/", content=parts()).text == str(100 * MEBIBYTE)
    assert most <= 3 * MEBIBYTE


def test_an_upload_ends_when_the_answer_is_whole():
    async def too_large(scope, receive, send):
        if scope["type"] == "http":
            await receive()
            await answer(send, status=413)

    def endless():
        while True:
            yield b"x" * 1000

    with TestClient(too_large) as client:
        assert client.post("/", content=endless()).status_code == 413


async def test_an_upload_that_nobody_reads_times_out_and_disconnects():
    disconnected = asyncio.Event()

    async def deaf(scope, receive, send):
        if scope["type"] == "http":
            await disconnected_by_client(receive)
            disconnected.set()

    async def disconnected_by_client(receive):
        await asyncio.sleep(0.3)
        while (await receive())["type"] != "http.disconnect":
            pass

    async def endless():
        while True:
            yield b"x" * 100_000

    async with AsyncTestClient(deaf, timeout=httpx2.Timeout(10, write=0.05)) as client:
        with pytest.raises(httpx2.WriteTimeout, match=r"has read nothing of the body for 0\.05 s"):
            await client.post("/", content=endless())
        await asyncio.wait_for(disconnected.wait(), 5)


def test_an_upload_whose_iterator_fails_disconnects():
    messages = []

    async def record(scope, receive, send):
        while scope["type"] == "http":
            messages.append((await receive())["type"])
            if messages[-1] == "http.disconnect":
                return

    def failing():
        yield b"x"
        raise LookupError("no more")

    with TestClient(record) as client, pytest.raises(LookupError, match="no more"):
        client.post("/", content=failing())
    assert messages == ["http.request", "http.disconnect"]


def test_head_has_headers_but_no_body():
    async def whole(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, b"body", headers=[(b"Content-Length", b"4")])

    with TestClient(whole) as client:
        response = client.head("/")
        assert (response.content, response.headers["content-length"]) == (b"", "4")
        assert client.get("/").content == b"body"


def test_expect_100_continue_is_an_ordinary_header():
    with TestClient(record_pieces) as client:
        assert client.post("/", content=b"12345", headers={"Expect": "100-continue"}).json() == [5]


def test_the_disconnect_is_told_once_the_answer_is_whole():
    told = []

    async def linger(scope, receive, send):
        if scope["type"] == "http":
            await answer(send, b"done")
            told.append(await receive())

    with TestClient(linger) as client:
        assert client.post("/", content=b"unread").text == "done"
    assert told == [{"type": "http.disconnect"}]


def test_cookies_are_kept_and_redirects_followed_when_asked():
    app = FastAPI()

    @app.get("/login")
    async def login():
        response = RedirectResponse("/whoami")
        response.set_cookie("session", "42")
        return response

    @app.get("/whoami")
    async def whoami(request: Request):
        return request.cookies

    with TestClient(app) as client:
        assert client.get("/login").status_code == 307
        assert client.get("/login", follow_redirects=True).json() == {"session": "42"}
        assert client.get("/whoami").json() == {"session": "42"}
        assert client.cookies["session"] == "42"


def test_repeated_headers_of_an_answer_are_kept():
    app = FastAPI()

    @app.get("/")
    async def two():
        response = Response("x")
        response.headers.append("X-One", "1")
        response.headers.append("X-One", "2")
        return response

    with TestClient(app) as client:
        assert client.get("/").headers.get_list("x-one") == ["1", "2"]


def test_ten_threads_share_one_client():
    running = most = 0

    async def slow(scope, receive, send):
        nonlocal running, most
        if scope["type"] != "http":
            return
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        await answer(send, scope["path"].encode())

    with TestClient(slow) as client, ThreadPoolExecutor(10) as threads:
        paths = [f"/{number}" for number in range(30)]
        assert list(threads.map(lambda path: client.get(path).text, paths)) == paths
    assert most > 1


async def test_many_tasks_share_one_client():
    arrived = 0
    everybody = asyncio.Event()

    async def meet(scope, receive, send):
        nonlocal arrived
        if scope["type"] != "http":
            return
        arrived += 1
        if arrived == 50:
            everybody.set()
        await everybody.wait()
        await answer(send, scope["path"].encode())

    async with AsyncTestClient(meet) as client:
        responses = await asyncio.gather(*(client.get(f"/{number}") for number in range(50)))
    assert [response.text for response in responses] == [f"/{number}" for number in range(50)]


async def test_the_application_runs_on_the_callers_loop():
    loops = []

    async def note_loop(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        if scope["type"] == "http":
            await answer(send)

    async with AsyncTestClient(note_loop) as client:
        await client.get("/")
    assert loops == [asyncio.get_running_loop()] * 2


async def test_the_sync_client_works_inside_a_running_loop():
    loops = []

    async def note_loop(scope, receive, send):
        loops.append(asyncio.get_running_loop())
        if scope["type"] == "http":
            await answer(send)

    with TestClient(note_loop) as client:
        assert client.get("/").status_code == 200
    assert asyncio.get_running_loop() not in loops


variable = contextvars.ContextVar("variable", default="unset")


async def tell_variable(scope, receive, send):
    """Answers with the context variable, then changes it for nobody else."""
    if scope["type"] == "lifespan":
        variable.set("by startup")
    else:
        value = variable.get()
        variable.set("by request")
        await answer(send, value.encode())


def test_requests_see_the_context_in_which_the_client_was_entered():
    def run():
        variable.set("before")
        with TestClient(tell_variable) as client:
            variable.set("after")
            answers = [client.get("/").text for _ in range(2)]
        return answers, variable.get()

    assert contextvars.copy_context().run(run) == (["before", "before"], "after")


async def test_requests_of_the_async_client_see_the_same_context():
    variable.set("before")
    async with AsyncTestClient(tell_variable) as client:
        variable.set("after")
        answers = [(await client.get("/")).text for _ in range(2)]
    assert (answers, variable.get()) == (["before", "before"], "after")


def test_a_request_outside_the_with_block_says_what_to_write():
    client = TestClient(tell_scope)
    with pytest.raises(ClientNotOpen, match="`with TestClient"):
        client.get("/")
    with pytest.raises(ClientNotOpen), client.websocket_connect("/"):
        pass
    assert issubclass(ClientNotOpen, ChutesError)
    assert issubclass(ClientNotOpen, RuntimeError)


async def test_a_request_outside_the_async_with_block_says_what_to_write():
    client = AsyncTestClient(tell_scope)
    with pytest.raises(ClientNotOpen, match="`async with AsyncTestClient"):
        await client.get("/")
    with pytest.raises(ClientNotOpen):
        async with client.websocket_connect("/"):
            pass


def test_a_client_that_was_left_sends_nothing_more():
    with TestClient(tell_scope) as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/")


def test_a_client_cannot_be_entered_twice():
    client = TestClient(tell_scope)
    with client, pytest.raises(RuntimeError, match="more than once"):
        client.__enter__()


def test_another_client_can_use_the_transport():
    with (
        TestClient(tell_scope) as client,
        httpx2.Client(transport=client.transport, base_url="http://elsewhere") as other,
    ):
        assert other.get("/x").json()["server"] == ["elsewhere", 80]


def test_no_thread_outlives_the_client():
    with TestClient(tell_scope) as client:
        client.get("/")
        assert any(thread.name == "chutes-test-client" for thread in threading.enumerate())
        mine = next(thread for thread in threading.enumerate() if thread.name == "chutes-test-client")
    assert not mine.is_alive()
