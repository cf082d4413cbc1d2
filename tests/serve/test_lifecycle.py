"""Startup and shutdown: hooks in their order, on the loop that serves, once per process."""

import asyncio
import contextlib
import threading

import pytest

from chutes.chute.chute import definition_of
from chutes.errors import StartupError
from chutes.testing import AsyncTestClient, TestClient
from support.serving import new_chute


@pytest.fixture
def chute():
    return new_chute()


def test_hooks_run_by_priority_then_as_written_around_the_requests(chute):
    events = []

    def note(name):
        return lambda self: events.append(name)

    def add(decorator, name):
        function = note(name)
        function.__name__ = name
        decorator(function)

    add(chute.on_startup(), "b")
    add(chute.on_startup(priority=10), "a")
    add(chute.on_shutdown(), "y")
    add(chute.on_startup(), "c")
    add(chute.on_shutdown(priority=90), "z")
    add(chute.on_shutdown(priority=-5), "x")

    @chute.cord("/run")
    async def run(self):
        events.append("run")

    with TestClient(chute) as client:
        client.post("/run")
    assert events == ["a", "b", "c", "run", "x", "y", "z"]


def test_the_next_hook_waits_for_the_one_before(chute):
    events = []

    @chute.on_startup()
    async def slow(self):
        events.append("begin")
        await asyncio.sleep(0.02)
        events.append("end")

    @chute.on_startup()
    def blocking(self):
        threading.Event().wait(0.02)
        events.append("blocking")

    @chute.on_startup()
    async def last(self):
        events.append("last")

    with TestClient(chute):
        assert events == ["begin", "end", "blocking", "last"]


def test_hooks_run_on_the_loop_that_serves(chute):
    loops = {}

    @chute.on_startup()
    async def start(self):
        loops["startup"] = asyncio.get_running_loop()
        self.lock = asyncio.Lock()
        self.queue = asyncio.Queue()

    @chute.on_shutdown()
    async def stop(self):
        loops["shutdown"] = asyncio.get_running_loop()

    @chute.cord("/run")
    async def run(self):
        loops["cord"] = asyncio.get_running_loop()
        async with self.lock:
            await self.queue.put(1)
            return await self.queue.get()

    with TestClient(chute) as client:
        assert client.post("/run").json() == 1
    assert loops["startup"] is loops["cord"] is loops["shutdown"]


def test_synchronous_hooks_run_in_a_thread_and_never_block_the_loop(chute):
    ticks = []

    @chute.on_startup()
    async def start_ticking(self):
        async def tick():
            while True:
                ticks.append(threading.current_thread().name)
                await asyncio.sleep(0.001)

        self.ticking = asyncio.create_task(tick())

    @chute.on_startup()
    def blocking(self):
        before = len(ticks)
        threading.Event().wait(0.05)
        self.ticked = len(ticks) - before
        self.thread = threading.current_thread().name

    with TestClient(chute):
        assert chute.ticked > 3
        assert chute.thread not in ticks


def test_a_hook_that_returns_an_awaitable_is_awaited(chute):
    async def load(self):
        self.loaded = True

    def returns_a_coroutine(self):
        return load(self)

    chute.on_startup()(returns_a_coroutine)
    with TestClient(chute):
        assert chute.loaded


def test_a_hook_written_while_hooks_run_or_before_the_app_is_entered_runs_too(chute):
    assert chute.app
    events = []

    @chute.on_startup()
    async def late(self):
        events.append("late")

    with TestClient(chute):
        assert events == ["late"]


class OwnError(Exception): ...


@pytest.mark.parametrize("synchronous", [True, False])
def test_a_failing_startup_hook_ends_the_start_with_its_own_error(chute, synchronous):
    events = []

    @chute.on_startup(priority=1)
    async def first(self):
        async def work():
            try:
                await asyncio.sleep(60)
            finally:
                events.append("cancelled")

        self.task = asyncio.create_task(work())
        await asyncio.sleep(0)

    def failing(self):
        raise OwnError("weights.bin")

    async def failing_later(self):
        failing(self)

    chute.on_startup()(failing if synchronous else failing_later)

    @chute.on_startup(priority=99)
    def never(self):
        events.append("never")

    with pytest.raises(OwnError, match=r"weights\.bin"), TestClient(chute):
        events.append("inside")
    assert events == ["cancelled"]


def test_the_server_is_told_which_hook_failed(chute):
    messages = []

    @chute.on_startup()
    async def load_weights(self):
        raise OwnError("weights.bin")

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        messages.append(message)

    with contextlib.suppress(Exception):
        asyncio.run(chute({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    (message,) = messages
    assert message["type"] == "lifespan.startup.failed"
    first, _, traceback = message["message"].partition("\n")
    assert first == "The startup hook 'load_weights' failed: OwnError: weights.bin"
    assert ", in load_weights\n" in traceback


@pytest.mark.parametrize("error", [OwnError("x"), SystemExit(3)])
def test_a_failing_shutdown_hook_is_logged_and_the_others_run(chute, error, caplog):
    events = []

    @chute.on_shutdown()
    async def failing(self):
        raise error

    @chute.on_shutdown(priority=60)
    def after(self):
        events.append("after")

    with TestClient(chute), contextlib.suppress(OwnError):
        pass
    assert events == ["after"]
    assert "The shutdown hook 'failing' failed" in caplog.text


def test_a_failed_start_can_be_tried_again(chute):
    attempts = []

    @chute.on_startup()
    def flaky(self):
        attempts.append(1)
        if len(attempts) == 1:
            raise OwnError("first")

    @chute.cord("/run")
    def run(self):
        return "ok"

    with pytest.raises(OwnError), TestClient(chute):
        pass
    with TestClient(chute) as client:
        assert client.post("/run").json() == "ok"


def test_two_clients_one_after_the_other_find_a_fresh_start(chute):
    events = []

    @chute.on_startup()
    async def start(self):
        self.lock = asyncio.Lock()
        self.served = 0
        events.append("start")

    @chute.on_shutdown()
    def stop(self):
        events.append("stop")

    @chute.cord("/run")
    async def run(self):
        async with self.lock:
            self.served += 1
            return self.served

    @chute.cord("/sync")
    def sync(self):
        return "sync"

    for _ in range(3):
        with TestClient(chute) as client:
            assert (client.post("/run").json(), client.post("/sync").json()) == (1, "sync")
            assert client.get("/openapi.json").status_code == 200
            assert client.get("/readyz").status_code == 200
    assert events == ["start", "stop"] * 3


async def test_a_chute_without_hooks_answers_servers_that_begin_no_lifespan(chute):
    @chute.cord("/run")
    async def run(self):
        return "ok"

    async def exchange(app):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/run", "headers": [], "query_string": b""}
        await app({**scope, "root_path": "", "http_version": "1.1", "scheme": "http"}, receive, send)
        return sent

    sent = await exchange(chute)
    assert (sent[0]["status"], sent[1]["body"]) == (200, b'"ok"')

    chute.on_startup()(lambda self: None)
    refused = await exchange(chute)
    assert refused[0]["status"] == 503
    assert (b"retry-after", b"1") in refused[0]["headers"]
    assert b"lifespan" in refused[1]["body"]


async def test_draining_is_told_to_probes_and_to_connections(chute):
    @chute.cord("/run")
    async def run(self):
        return "ok"

    async with AsyncTestClient(chute) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        definition_of(chute).running.lifecycle.drain()
        ready, health, call = [
            await client.get("/readyz"),
            await client.get("/health"),
            await client.post("/run"),
        ]
        assert (await client.get("/livez")).status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert health.status_code == 503
    assert (call.json(), call.headers["connection"]) == ("ok", "close")


@pytest.mark.parametrize("synchronous", [True, False])
async def test_a_hook_that_ends_the_program_has_failed(chute, synchronous):
    def load(self):
        raise SystemExit(0)

    async def load_later(self):
        raise SystemExit(0)

    async def receive():
        return {"type": "lifespan.startup"}

    async def send(message):
        sent.append(message["type"])

    sent = []
    chute.on_startup()(load if synchronous else load_later)
    with pytest.raises(StartupError, match=r"The startup hook 'load\w*' failed: SystemExit: 0"):
        await chute({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.failed"]
