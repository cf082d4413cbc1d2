"""The concurrency limit as clients meet it."""

import asyncio
import threading

import pytest

from chutes.testing import AsyncTestClient, TestClient, async_wait_until
from support.http_servers import wait_until
from support.serving import new_chute


class Gate:
    """A chute with cords that wait until they are let go, and that count how many are inside."""

    def __init__(self, **options):
        self.chute = new_chute(**options)
        self.inside = 0
        self.most = 0
        self.order = []
        self.open = None

        @self.chute.on_startup()
        async def start(chute):
            self.open = asyncio.Event()

        @self.chute.cord("/wait")
        async def wait(chute, name: str = ""):
            with self:
                self.order.append(name)
                await self.open.wait()

    def __enter__(self):
        self.inside += 1
        self.most = max(self.most, self.inside)

    def __exit__(self, *exc_info):
        self.inside -= 1

    async def fill(self, client, calls, path="/wait"):
        """Send so many calls, one after the other, and return their tasks."""
        admission = self.chute._Chute__definition.running.admission
        sent = []
        for number in range(calls):
            sent.append(asyncio.create_task(client.post(path, json={"name": str(number)})))
            await async_wait_until(lambda: admission.admitted == len(sent))
        return sent


async def asgi(app, path, *, method="POST", headers=()):
    """Call the application as a server does; returns its messages, and how often it asked for the body."""
    asked, sent = [], []

    async def receive():
        asked.append(1)
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    await app(scope, receive, send)
    return sent, len(asked)


async def test_past_the_queue_503_with_retry_after_is_sent_before_the_body_is_read():
    gate = Gate(concurrency=2, max_queue=1)
    async with AsyncTestClient(gate.chute) as client:
        sent = await gate.fill(client, 3)
        messages, asked = await asgi(gate.chute, "/wait")
        refused = await client.post("/wait", json={})
        gate.open.set()
        assert [(await one).status_code for one in sent] == [200] * 3
        assert (await client.post("/wait", json={})).status_code == 200
    assert (messages[0]["status"], asked) == (503, 0)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "2 calls run and 1 wait" in refused.json()["detail"]
    assert refused.headers["x-request-id"]
    assert gate.most == 2


async def test_two_cords_on_one_path_refuse_before_the_body_is_read_too():
    gate = Gate(concurrency=1, max_queue=0)

    @gate.chute.cord("/chat")
    async def plain(self): ...

    @gate.chute.cord("/chat", stream=True)
    async def stream(self):
        yield "a"

    async with AsyncTestClient(gate.chute) as client:
        sent = await gate.fill(client, 1)
        messages, asked = await asgi(gate.chute, "/chat")
        gate.open.set()
        await sent[0]
    assert (messages[0]["status"], asked) == (503, 0)


async def test_calls_are_served_in_the_order_in_which_they_came():
    gate = Gate(concurrency=1)
    async with AsyncTestClient(gate.chute) as client:
        sent = await gate.fill(client, 6)
        assert gate.order == ["0"]
        gate.open.set()
        await asyncio.gather(*sent)
    assert gate.order == ["0", "1", "2", "3", "4", "5"]


async def test_without_a_queue_only_free_slots_are_taken():
    gate = Gate(concurrency=1, max_queue=0)
    async with AsyncTestClient(gate.chute) as client:
        sent = await gate.fill(client, 1)
        assert (await client.post("/wait", json={})).status_code == 503
        gate.open.set()
        assert (await sent[0]).status_code == 200


async def test_what_is_no_cord_stands_outside_of_the_limit():
    gate = Gate(concurrency=1, max_queue=0)
    gate.chute.app.get("/own")(lambda: "own")
    async with AsyncTestClient(gate.chute) as client:
        sent = await gate.fill(client, 1)
        for path in ("/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/own"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/wait")).status_code == 405
        gate.open.set()
        await sent[0]


@pytest.mark.parametrize("kind", ["async", "sync", "stream", "sync stream"])
async def test_never_more_than_the_limit_run_at_once(kind):
    gate = Gate(concurrency=3, max_queue=20)

    async def meet():
        """The first calls wait for each other, however slow the machine is."""
        while gate.most < 3:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)

    def meet_in_threads():
        wait_until(lambda: gate.most >= 3)
        threading.Event().wait(0.005)

    async def asynchronous(self):
        with gate:
            await meet()

    def synchronous(self):
        with gate:
            meet_in_threads()

    async def stream(self):
        with gate:
            yield "a"
            await meet()
            yield "b"

    def synchronous_stream(self):
        with gate:
            yield "a"
            meet_in_threads()
            yield "b"

    function = {
        "async": asynchronous,
        "sync": synchronous,
        "stream": stream,
        "sync stream": synchronous_stream,
    }
    gate.chute.cord("/run", stream="stream" in kind)(function[kind])
    async with AsyncTestClient(gate.chute) as client:
        answers = await asyncio.gather(*(client.post("/run") for _ in range(12)))
    assert {one.status_code for one in answers} == {200}
    assert (gate.most, gate.inside) == (3, 0)


async def test_synchronous_cords_run_side_by_side_and_never_block_the_loop():
    chute = new_chute(concurrency=3)
    barrier = threading.Barrier(4, timeout=5)

    @chute.cord("/meet")
    def meet(self):
        barrier.wait()
        return threading.current_thread().name

    async with AsyncTestClient(chute) as client:
        sent = [asyncio.create_task(client.post("/meet")) for _ in range(3)]
        assert (await client.get("/livez")).status_code == 200
        await asyncio.to_thread(barrier.wait)
        names = {(await one).json() for one in sent}
    assert len(names) == 3
    assert threading.current_thread().name not in names


async def test_a_stream_holds_its_slot_to_its_end():
    gate = Gate(concurrency=1, max_queue=0)

    @gate.chute.cord("/stream", stream=True)
    async def stream(self):
        yield "a"
        await gate.open.wait()
        yield "b"

    async with AsyncTestClient(gate.chute) as client:
        async with client.stream("POST", "/stream") as response:
            parts = response.aiter_text()
            assert await anext(parts) == "a"
            assert (await client.post("/wait", json={})).status_code == 503
            gate.open.set()
            assert [part async for part in parts] == ["b"]
        assert (await client.post("/wait", json={})).status_code == 200


@pytest.mark.parametrize("failure", [ValueError("own"), KeyError("x")])
def test_a_call_that_fails_gives_its_slot_back(failure):
    chute = new_chute(concurrency=1, max_queue=0)

    @chute.cord("/fail")
    async def fail(self, value: int = 0):
        raise failure

    with TestClient(chute) as client:
        for _ in range(3):
            assert client.post("/fail", json={}).status_code == 500
            assert client.post("/fail", json={"value": "x"}).status_code == 422


def test_cords_call_cords_at_concurrency_1():
    chute = new_chute(concurrency=1, max_queue=0)

    @chute.cord("/inner")
    async def inner(self, value: int):
        async with self.slot():
            return value + 1

    @chute.cord("/inner-sync")
    def inner_sync(self, value: int):
        return value * 2

    @chute.cord("/outer")
    async def outer(self, value: int):
        return self.inner_sync(await self.inner(value))

    with TestClient(chute, timeout=5) as client:
        assert client.post("/outer", json={"value": 1}).json() == 4
        assert client.post("/inner", json={"value": 1}).json() == 2


async def test_a_websocket_holds_a_slot_only_where_it_takes_one():
    gate = Gate(concurrency=1, max_queue=0)

    @gate.chute.websocket("/talk")
    async def talk(self, websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            async with self.slot():
                await websocket.send_text(text.upper())

    async with AsyncTestClient(gate.chute) as client, client.websocket_connect("/talk") as session:
        sent = await gate.fill(client, 1)
        await session.send_text("waits")
        receiving = asyncio.create_task(session.receive_text())
        await asyncio.sleep(0.03)
        assert not receiving.done()
        gate.open.set()
        await sent[0]
        assert await receiving == "WAITS"
        assert (await client.post("/wait", json={})).status_code == 200


async def test_a_slow_upload_keeps_no_slot_from_others():
    chute = new_chute(concurrency=1, max_queue=0)

    @chute.cord("/run")
    async def run(self, name: str):
        return name

    begun, go = asyncio.Event(), asyncio.Event()

    async def slowly():
        yield b'{"name": '
        begun.set()
        await go.wait()
        yield b'"slow"}'

    async with AsyncTestClient(chute) as client:
        headers = {"content-type": "application/json"}
        slow = asyncio.create_task(client.post("/run", content=slowly(), headers=headers))
        await begun.wait()
        assert (await client.post("/run", json={"name": "fast"})).json() == "fast"
        go.set()
        assert (await slow).json() == "slow"


def test_the_chutes_slot_works_outside_of_any_call():
    chute = new_chute(concurrency=1)
    seen = []

    @chute.on_startup()
    async def warm_up(self):
        async with self.slot():
            seen.append("slot")

    with TestClient(chute):
        assert seen == ["slot"]
