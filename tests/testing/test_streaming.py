"""Answers that come part by part: incremental, slow, left early and broken off."""

import asyncio
import contextlib
import itertools
import logging
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from chutes.testing import AsyncTestClient, TestClient, async_wait_until, wait_until


class Tokens:
    """An application that streams a token whenever it is asked to by `POST /more`."""

    def __init__(self):
        self.asked = None
        self.closed = False
        self.app = FastAPI()
        self.app.get("/tokens")(self.tokens)
        self.app.post("/more")(self.more)

    async def tokens(self):
        self.asked = asyncio.Semaphore(0)
        return StreamingResponse(self.generate())

    async def more(self):
        self.asked.release()

    async def generate(self):
        try:
            for number in itertools.count():
                yield f"token {number}\n"
                await self.asked.acquire()
        finally:
            self.closed = True


def test_each_part_arrives_while_the_generator_waits():
    tokens = Tokens()
    with TestClient(tokens.app) as client, client.stream("GET", "/tokens") as response:
        lines = response.iter_lines()
        assert next(lines) == "token 0"
        assert not tokens.closed
        client.post("/more")
        assert next(lines) == "token 1"


async def test_each_part_arrives_while_the_generator_waits_async():
    tokens = Tokens()
    async with AsyncTestClient(tokens.app) as client, client.stream("GET", "/tokens") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "token 0"
        assert not tokens.closed
        await client.post("/more")
        assert await anext(lines) == "token 1"


def test_leaving_early_closes_the_generator():
    tokens = Tokens()
    with TestClient(tokens.app) as client:
        with client.stream("GET", "/tokens") as response:
            next(response.iter_lines())
        wait_until(lambda: tokens.closed, timeout=1)


async def test_leaving_early_closes_the_generator_async():
    tokens = Tokens()
    async with AsyncTestClient(tokens.app) as client:
        async with client.stream("GET", "/tokens") as response:
            await anext(response.aiter_lines())
        await async_wait_until(lambda: tokens.closed, timeout=1)


async def test_a_cancelled_request_disconnects():
    arrived, left = asyncio.Event(), asyncio.Event()

    async def wait(scope, receive, send):
        if scope["type"] != "http":
            return
        await receive()
        arrived.set()
        assert (await receive())["type"] == "http.disconnect"
        left.set()

    async with AsyncTestClient(wait) as client:
        request = asyncio.create_task(client.get("/"))
        await arrived.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.wait_for(left.wait(), 1)


def test_closing_the_client_closes_its_open_streams():
    tokens = Tokens()
    with TestClient(tokens.app) as client:
        response = client.send(client.build_request("GET", "/tokens"), stream=True)
        assert next(response.iter_lines()) == "token 0"
    assert tokens.closed
    response.close()


async def test_a_stream_that_outlives_its_client_cannot_be_read():
    tokens = Tokens()
    async with AsyncTestClient(tokens.app) as client:
        response = await client.send(client.build_request("GET", "/tokens"), stream=True)
    with pytest.raises(httpx2.ReadError, match="closed before the answer was whole"):
        await response.aread()


def test_a_request_that_waits_in_another_thread_ends_with_the_client():
    arrived = threading.Event()

    async def wait(scope, receive, send):
        if scope["type"] == "http":
            arrived.set()
            await asyncio.sleep(60)

    with ThreadPoolExecutor(1) as threads:
        with TestClient(wait, shutdown_grace=0) as client:
            waiting = threads.submit(client.get, "/")
            assert arrived.wait(5)
        assert isinstance(waiting.exception(5), httpx2.ReadError)


class Eager:
    """An application that produces chunks as fast as they are taken, and counts them."""

    def __init__(self):
        self.produced = 0
        self.ended = False

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        left = asyncio.create_task(self.wait_for_the_client_to_leave(receive))
        while not left.done():
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
            self.produced += 1
        self.ended = True

    async def wait_for_the_client_to_leave(self, receive):
        while (await receive())["type"] != "http.disconnect":
            pass


def test_a_slow_reader_holds_the_application_back():
    app = Eager()
    with TestClient(app) as client:
        with client.stream("GET", "/") as response:
            for read, _ in enumerate(itertools.islice(response.iter_raw(), 40), start=1):
                time.sleep(0.001)
                assert app.produced <= read + 5
        wait_until(lambda: app.ended, timeout=1)


async def test_a_slow_reader_holds_the_application_back_async():
    app = Eager()
    async with AsyncTestClient(app) as client:
        async with client.stream("GET", "/") as response:
            chunks = response.aiter_raw()
            for read in range(1, 41):
                await anext(chunks)
                await asyncio.sleep(0)
                assert app.produced <= read + 5
        await async_wait_until(lambda: app.ended, timeout=1)


def test_a_long_stream_is_not_kept_in_memory():
    async def endless(scope, receive, send):
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(300):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with TestClient(endless) as client, client.stream("GET", "/") as response:
        tracemalloc.start()
        try:
            total = sum(len(chunk) for chunk in response.iter_raw())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert total == 300_000_000
    assert peak < 20_000_000


async def broken(scope, receive, send):
    """Breaks off after its first part."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise LookupError("half way")


async def unfinished(scope, receive, send):
    """Returns after its first part."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})


@pytest.mark.parametrize(("app", "cause"), [(broken, LookupError), (unfinished, type(None))])
def test_an_answer_that_breaks_off_is_a_protocol_error(app, cause):
    with TestClient(app) as client, client.stream("GET", "/") as response:
        parts = response.iter_raw()
        assert next(parts) == b"part"
        with pytest.raises(httpx2.RemoteProtocolError, match="broke off") as raised:
            next(parts)
    assert isinstance(raised.value.__cause__, cause)


async def test_an_answer_that_breaks_off_is_a_protocol_error_async():
    async with AsyncTestClient(broken) as client, client.stream("GET", "/") as response:
        parts = response.aiter_raw()
        assert await anext(parts) == b"part"
        with pytest.raises(httpx2.RemoteProtocolError, match="broke off"):
            await anext(parts)


def test_with_raise_errors_a_broken_answer_raises_the_applications_exception():
    with TestClient(broken, raise_errors=True) as client, client.stream("GET", "/") as response:
        parts = response.iter_raw()
        assert next(parts) == b"part"
        with pytest.raises(LookupError, match="half way"):
            next(parts)


async def fail(scope, receive, send):
    """Fails before it answers."""
    if scope["type"] == "http":
        raise LookupError("at once")


def test_an_exception_without_an_answer_becomes_a_plain_500(caplog):
    with TestClient(fail) as client:
        response = client.get("/where")
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    (record,) = (record for record in caplog.records if record.name == "chutes.testing")
    assert record.levelno == logging.ERROR
    assert "GET http://testserver/where" in record.getMessage()
    assert record.exc_info[0] is LookupError


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_whatever_escapes_without_an_answer_becomes_a_plain_500(error):
    async def exit_(scope, receive, send):
        if scope["type"] == "http":
            raise error

    with TestClient(exit_) as client:
        assert client.get("/").status_code == 500


def test_an_application_that_returns_without_an_answer_becomes_a_plain_500():
    async def nothing(scope, receive, send):
        pass

    with TestClient(nothing) as client:
        assert client.get("/").status_code == 500
        assert client.head("/").content == b""


def test_with_raise_errors_the_applications_exception_is_raised():
    with TestClient(fail, raise_errors=True) as client, pytest.raises(LookupError, match="at once"):
        client.get("/")


async def test_with_raise_errors_the_applications_exception_is_raised_async():
    async with AsyncTestClient(fail, raise_errors=True) as client:
        with pytest.raises(LookupError, match="at once"):
            await client.get("/")


def failing_starlette():
    async def endpoint(request):
        raise LookupError("behind a middleware that answers")

    return Starlette(routes=[Route("/", endpoint)])


def test_an_exception_that_a_framework_answered_is_the_frameworks_answer():
    with TestClient(failing_starlette()) as client:
        assert client.get("/").status_code == 500


def test_with_raise_errors_an_exception_that_a_framework_answered_is_raised():
    with (
        TestClient(failing_starlette(), raise_errors=True) as client,
        pytest.raises(LookupError, match="behind"),
    ):
        client.get("/")


def test_with_raise_errors_a_timeout_error_of_the_application_stays_one():
    async def late(scope, receive, send):
        if scope["type"] == "http":
            raise TimeoutError("the model was too slow")

    with (
        TestClient(late, raise_errors=True) as client,
        pytest.raises(TimeoutError, match="the model was too slow"),
    ):
        client.get("/")


def test_only_with_raise_errors_an_application_is_asked_for_the_exceptions_that_it_answered():
    extensions = []

    async def app(scope, receive, send):
        if scope["type"] == "http":
            extensions.append(scope.get("extensions"))

    for raise_errors in (False, True):
        with TestClient(app, raise_errors=raise_errors) as client:
            client.get("/")
    assert extensions == [None, {"chutes.raise_errors": {}}]


class Background:
    """An application whose background task ends when it is allowed to."""

    def __init__(self):
        self.app = FastAPI()
        self.app.get("/")(self.endpoint)
        self.ran = False

    async def endpoint(self, tasks: BackgroundTasks):
        tasks.add_task(self.task)

    async def task(self):
        await asyncio.sleep(0.05)
        self.ran = True


def test_an_answer_does_not_wait_for_background_tasks():
    background = Background()
    with TestClient(background.app) as client:
        assert client.get("/").status_code == 200
        assert not background.ran
        wait_until(lambda: background.ran)


def test_with_raise_errors_an_answer_waits_for_background_tasks():
    background = Background()
    with TestClient(background.app, raise_errors=True) as client:
        assert client.get("/").status_code == 200
        assert background.ran


def test_leaving_the_client_lets_requests_in_flight_end():
    background = Background()
    with TestClient(background.app) as client:
        client.get("/")
    assert background.ran


@pytest.mark.parametrize(
    ("headers", "bodies", "complaint"),
    [
        ([(b"content-length", b"3")], [b"ab"], "1 bytes shorter"),
        ([(b"content-length", b"3")], [b"abcd"], "1 bytes longer"),
        ([(b"bad name", b"x")], [b""], "Invalid HTTP header"),
        ([(b"name", b"x\r\ny")], [b""], "Invalid HTTP header"),
        ([], [b"a", None], "the answer is whole already"),
    ],
)
def test_an_answer_that_a_server_refuses_is_refused(headers, bodies, complaint):
    complaints = []

    async def wrong(scope, receive, send):
        if scope["type"] != "http":
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for body in bodies:
                await send({"type": "http.response.body", "body": body})
        except RuntimeError as error:
            complaints.append(str(error))
            raise

    with TestClient(wrong) as client:
        with contextlib.suppress(httpx2.RemoteProtocolError):
            client.get("/")
        wait_until(lambda: complaints)
    assert complaint in complaints[0]


def test_messages_out_of_order_are_refused():
    async def body_first(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.body", "body": b""})

    async def start_twice(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.start", "status": 200})

    for app, complaint in (
        (body_first, r"but got 'http\.response\.body'"),
        (start_twice, r"but got 'http\.response\.start'"),
    ):
        with TestClient(app, raise_errors=True) as client, pytest.raises(RuntimeError, match=complaint):
            client.get("/")


async def silent(scope, receive, send):
    """Never answers, not even when its client leaves."""
    if scope["type"] == "http":
        await asyncio.Event().wait()


def test_an_application_that_never_answers_times_out(caplog):
    with TestClient(silent, timeout=0.05, shutdown_grace=0.05) as client:
        with pytest.raises(httpx2.ReadTimeout, match=r"has not answered for 0\.05 s"):
            client.get("/")
        with pytest.raises(httpx2.ReadTimeout, match=r"has not answered for 0\.01 s"):
            client.get("/", timeout=0.01)
    assert "2 requests did not end within 0.05 s and were cancelled; 0 ignored it." in caplog.text


async def test_an_application_that_never_answers_times_out_async():
    async with AsyncTestClient(silent, timeout=0.05, shutdown_grace=0) as client:
        with pytest.raises(httpx2.ReadTimeout, match=r"has not answered for 0\.05 s"):
            await client.get("/")


def test_the_default_timeout_is_30_seconds():
    assert TestClient(silent).timeout == httpx2.Timeout(30.0)
    assert AsyncTestClient(silent).timeout == httpx2.Timeout(30.0)


def test_a_stream_that_falls_silent_times_out():
    tokens = Tokens()
    with TestClient(tokens.app, timeout=0.05) as client, client.stream("GET", "/tokens") as response:
        lines = response.iter_lines()
        next(lines)
        with pytest.raises(httpx2.ReadTimeout, match=r"has sent nothing for 0\.05 s"):
            next(lines)


def test_an_application_that_blocks_its_loop_times_out():
    async def block(scope, receive, send):
        if scope["type"] == "http":
            time.sleep(1.5)

    with (
        TestClient(block, timeout=0.05) as client,
        pytest.raises(httpx2.ReadTimeout, match="blocks its event loop"),
    ):
        client.get("/")


def test_an_application_that_ignores_cancellation_does_not_keep_the_client():
    ignored = 0

    async def stubborn(scope, receive, send):
        nonlocal ignored
        while scope["type"] == "http" and ignored < 100:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                ignored += 1
                if ignored > 1:
                    raise

    with TestClient(stubborn, timeout=0.05, shutdown_grace=0) as client, pytest.raises(httpx2.ReadTimeout):
        client.get("/")
    assert ignored == 2
