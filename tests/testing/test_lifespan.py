"""Startup and shutdown through the test clients."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request

from chutes.errors import ShutdownError, StartupError
from chutes.testing import AsyncTestClient, TestClient


def application(*, startup=None, shutdown=None):
    """A FastAPI application with hooks, which keeps a record in `app.state.record`."""

    @asynccontextmanager
    async def lifespan(app):
        app.state.record.append("startup")
        if startup is not None:
            startup()
        yield {"model": "loaded", "calls": []}
        app.state.record.append("shutdown")
        if shutdown is not None:
            shutdown()

    app = FastAPI(lifespan=lifespan)
    app.state.record = []

    @app.get("/")
    async def index(request: Request):
        app.state.record.append("request")
        request.state.calls.append(1)
        request.state.mine = "not shared"
        return [request.state.model, len(request.state.calls)]

    return app


def raising(error):
    def hook():
        raise error

    return hook


def test_the_hooks_run_around_the_requests():
    app = application()
    client = TestClient(app)
    assert app.state.record == []
    with client:
        assert app.state.record == ["startup"]
        client.get("/")
    assert app.state.record == ["startup", "request", "shutdown"]


async def test_the_hooks_run_around_the_requests_async():
    app = application()
    async with AsyncTestClient(app) as client:
        await client.get("/")
    assert app.state.record == ["startup", "request", "shutdown"]


def test_each_request_gets_its_own_copy_of_the_startups_state():
    with TestClient(application()) as client:
        assert client.get("/").json() == ["loaded", 1]
        assert client.get("/").json() == ["loaded", 2]


def test_an_application_can_be_started_again_by_another_client():
    app = application()
    for _ in range(2):
        with TestClient(app) as client:
            client.get("/")
    assert app.state.record == ["startup", "request", "shutdown"] * 2


def test_a_failing_startup_raises_the_hooks_own_exception():
    error = FileNotFoundError("weights.bin")
    app = application(startup=raising(error))
    client = TestClient(app)
    threads = threading.active_count()
    with pytest.raises(FileNotFoundError) as raised:
        client.__enter__()
    assert raised.value is error
    assert client.is_closed
    assert threading.active_count() == threads
    assert app.state.record == ["startup"]


async def test_a_failing_startup_raises_the_hooks_own_exception_async():
    client = AsyncTestClient(application(startup=raising(FileNotFoundError("weights.bin"))))
    with pytest.raises(FileNotFoundError, match=r"weights\.bin"):
        await client.__aenter__()
    assert client.is_closed


@pytest.mark.parametrize("error", [TimeoutError("the hub"), SystemExit(3)])
def test_a_failing_startup_raises_even_these(error):
    with pytest.raises(type(error)) as raised:
        TestClient(application(startup=raising(error))).__enter__()
    assert raised.value is error


def test_a_startup_error_is_unwrapped_to_its_cause():
    async def app(scope, receive, send):
        await receive()
        try:
            raise FileNotFoundError("weights.bin")
        except FileNotFoundError as error:
            await send({"type": "lifespan.startup.failed", "message": "a hook failed"})
            raise StartupError("a hook failed") from error

    with pytest.raises(FileNotFoundError, match=r"weights\.bin"):
        TestClient(app).__enter__()


@pytest.mark.parametrize("message", ["no model", ""])
def test_a_startup_that_only_reports_its_failure_raises_its_text(message):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": message})

    with pytest.raises(StartupError, match=message or "reported that its startup failed"):
        TestClient(app).__enter__()


def test_a_startup_that_raises_without_a_report_raises():
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            raise FileNotFoundError("weights.bin")

    with pytest.raises(FileNotFoundError):
        TestClient(app).__enter__()


def test_a_hung_startup_times_out():
    cancelled = []

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(True)

    with pytest.raises(StartupError, match=r"more than 0\.05 s.*lifespan_timeout"):
        TestClient(app, lifespan_timeout=0.05).__enter__()
    assert cancelled


async def test_a_cancelled_startup_stops_the_application():
    cancelled = []

    async def app(scope, receive, send):
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(True)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(AsyncTestClient(app).__aenter__(), 0.05)
    assert cancelled


def test_a_startup_that_blocks_its_loop_times_out():
    release = threading.Event()

    async def app(scope, receive, send):
        release.wait(10)

    timer = threading.Timer(1.5, release.set)
    timer.start()
    with pytest.raises(StartupError, match="blocks its event loop"):
        TestClient(app, lifespan_timeout=0.05).__enter__()
    timer.join()


def test_a_startup_that_blocks_for_less_than_its_limit_is_only_slow():
    app = application(startup=lambda: time.sleep(0.2))
    with TestClient(app) as client:
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("reading", [False, True])
def test_an_application_without_lifespan_is_served_all_the_same(reading):
    async def app(scope, receive, send):
        if reading:
            await receive()
        elif scope["type"] != "http":
            raise AssertionError("only HTTP here")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with TestClient(app) as client:
        assert client.get("/").status_code == 204


def test_a_failing_shutdown_raises_the_hooks_own_exception():
    client = TestClient(application(shutdown=raising(LookupError("no such lock")))).__enter__()
    with pytest.raises(LookupError, match="no such lock"):
        client.__exit__(None, None, None)


async def test_a_failing_shutdown_raises_the_hooks_own_exception_async():
    client = await AsyncTestClient(application(shutdown=raising(LookupError("no such lock")))).__aenter__()
    with pytest.raises(LookupError, match="no such lock"):
        await client.__aexit__(None, None, None)


def test_a_failing_shutdown_does_not_hide_the_tests_own_failure():
    app = application(shutdown=raising(LookupError("no such lock")))
    with pytest.raises(AssertionError, match="the test's") as raised, TestClient(app):
        raise AssertionError("the test's")
    assert raised.value.__notes__ == ["Shutdown failed, too: LookupError('no such lock')"]


def test_a_shutdown_that_only_reports_its_failure_raises_its_text():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "disk full"})

    with pytest.raises(ShutdownError, match="disk full"), TestClient(app):
        pass


def test_an_application_that_lingers_after_its_shutdown_is_ended():
    ended = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with TestClient(app):
        pass
    assert ended


def test_a_hung_shutdown_times_out():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(60)

    with pytest.raises(ShutdownError, match=r"more than 0\.05 s"), TestClient(app, lifespan_timeout=0.05):
        pass


def test_a_lifespan_that_crashes_while_serving_is_raised_at_the_end():
    serving = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await serving.wait()
            raise LookupError("a background task of the lifespan")
        serving.set()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    statuses = []
    with pytest.raises(LookupError, match="background task"), TestClient(app) as client:
        statuses.append(client.get("/").status_code)
    assert statuses == [204]


def test_what_startup_makes_on_the_loop_works_in_requests():
    @asynccontextmanager
    async def lifespan(app):
        app.state.lock = asyncio.Lock()
        await app.state.lock.acquire()
        app.state.task = asyncio.create_task(release_later(app.state.lock))
        yield

    async def release_later(lock):
        await asyncio.sleep(0.01)
        lock.release()

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def index():
        async with app.state.lock:
            return "locked"

    with TestClient(app) as client:
        assert client.get("/").json() == "locked"
