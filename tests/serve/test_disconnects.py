"""Clients that leave: what is cancelled, what finishes, and what is never begun."""

import asyncio
import threading
import time
from contextlib import suppress
from typing import Annotated

import pytest
from fastapi import Depends
from fastapi.responses import StreamingResponse

from chutes.serve.disconnects import ClientGone, Disconnects
from chutes.testing import AsyncTestClient, async_wait_until
from support.serving import new_chute


class Watched:
    """A chute whose cords tell what happens to them."""

    def __init__(self, **options):
        self.chute = new_chute(**options)
        self.events = []

    def cord(self, function, **options):
        return self.chute.cord("/run", **options)(function)

    async def until(self, event):
        await async_wait_until(lambda: event in self.events)


async def leave(client, watched, *, after="begin", **request):
    """Send a request to /run, and leave once the cord has said so."""
    sent = asyncio.create_task(client.post("/run", **request))
    await watched.until(after)
    sent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sent


async def read_and_leave(client, chunks=1):
    async with client.stream("POST", "/run") as response:
        parts = response.aiter_raw()
        return [await anext(parts) for _ in range(chunks)]


def waiting(watched):
    """A coroutine function that waits for ever, and tells how that ended."""

    async def run(self):
        watched.events.append("begin")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            watched.events.append("cancelled")
            raise
        finally:
            watched.events.append("finally")

    return run


def short(watched):
    async def run(self):
        watched.events.append("begin")
        try:
            await asyncio.sleep(0.5)
            watched.events.append("done")
        except asyncio.CancelledError:
            watched.events.append("cancelled")
            raise

    return run


def endless(watched):
    async def run(self):
        number = 0
        try:
            while True:
                watched.events.append(number)
                yield f"{number}\n"
                number += 1
                await asyncio.sleep(0.02 if number < 3 else 60)
        finally:
            watched.events.append("finally")

    return run


def endless_in_a_thread(watched):
    def run(self):
        try:
            while True:
                watched.events.append(threading.current_thread().name)
                yield "x"
                time.sleep(0.01)
        finally:
            watched.events.append("finally")

    return run


@pytest.mark.parametrize("source", [endless, endless_in_a_thread])
async def test_a_generator_is_closed_at_once_and_its_finally_runs(source):
    watched = Watched()
    watched.cord(source(watched), stream=True)
    async with AsyncTestClient(watched.chute) as client:
        await read_and_leave(client, chunks=2)
        await watched.until("finally")
        count = len(watched.events)
        await asyncio.sleep(0.05)
    assert len(watched.events) == count


@pytest.mark.parametrize("source", [endless, endless_in_a_thread])
async def test_the_generator_of_a_streaming_response_is_closed_too(source):
    watched = Watched()

    async def run(self):
        return StreamingResponse(source(watched)(self), media_type="text/plain")

    watched.cord(run, stream=True)
    async with AsyncTestClient(watched.chute) as client:
        await read_and_leave(client)
        await watched.until("finally")


async def test_a_stream_stops_behind_middleware_too():
    watched = Watched()
    watched.cord(endless(watched), stream=True)

    @watched.chute.middleware("http")
    async def through(request, call_next):
        return await call_next(request)

    async with AsyncTestClient(watched.chute) as client:
        await read_and_leave(client)
        await watched.until("finally")


async def test_a_client_that_leaves_before_the_first_chunk_is_noticed():
    watched = Watched()

    async def run(self):
        watched.events.append("begin")
        try:
            await asyncio.sleep(60)
            yield "never"
        finally:
            watched.events.append("finally")

    watched.cord(run, stream=True)
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until("finally")


async def test_a_streaming_cord_that_has_returned_nothing_yet_is_cancelled():
    watched = Watched()
    watched.cord(waiting(watched), stream=True)
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until("finally")
    assert "cancelled" in watched.events


async def test_other_cords_finish_by_default():
    watched = Watched()
    watched.cord(short(watched))
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until("done")
    assert watched.events == ["begin", "done"]


async def test_a_future_that_others_will_complete_is_not_cancelled():
    chute = new_chute()

    @chute.on_startup()
    async def start(self):
        self.future = asyncio.get_running_loop().create_future()
        self.begun = False

    @chute.cord("/run")
    async def run(self):
        self.begun = True
        return await self.future

    async with AsyncTestClient(chute) as client:
        sent = asyncio.create_task(client.post("/run"))
        await async_wait_until(lambda: chute.begun)
        sent.cancel()
        await asyncio.sleep(0.03)
        assert not chute.future.cancelled()
        chute.future.set_result(1)


@pytest.mark.parametrize(
    ("chutes", "cords", "outcome"),
    [
        (None, "cancel", "cancelled"),
        ("cancel", None, "cancelled"),
        ("cancel", "finish", "done"),
        ("finish", "cancel", "cancelled"),
        ("finish", None, "done"),
    ],
)
async def test_the_cord_decides_before_the_chute(chutes, cords, outcome):
    watched = Watched(on_disconnect=chutes)
    watched.cord(short(watched), on_disconnect=cords)
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until(outcome)
    assert watched.events == ["begin", outcome]


async def test_a_stream_that_is_to_finish_runs_to_its_end():
    watched = Watched()

    async def run(self):
        for number in range(5):
            yield f"{number}"
            await asyncio.sleep(0.005)
        watched.events.append("done")

    watched.cord(run, stream=True, on_disconnect="finish")
    async with AsyncTestClient(watched.chute) as client:
        await read_and_leave(client)
        await watched.until("done")


def deaf_to_its_end(watched):
    async def run(self):
        while True:
            try:
                yield "x"
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
            except GeneratorExit:
                if "finally" in watched.events:
                    raise
                watched.events.append("finally")

    return run


def deaf_to_its_end_in_a_thread(watched):
    def run(self):
        try:
            while True:
                yield "x"
                time.sleep(0.01)
        finally:
            watched.events.append("finally")
            yield "y"

    return run


@pytest.mark.parametrize("source", [deaf_to_its_end, deaf_to_its_end_in_a_thread])
async def test_a_generator_that_yields_while_it_is_closed_is_told_so_in_the_log(source, caplog):
    watched = Watched(concurrency=1)
    watched.cord(source(watched), stream=True)

    @watched.chute.cord("/other")
    async def other(self):
        return "ok"

    async with AsyncTestClient(watched.chute) as client:
        await read_and_leave(client)
        await watched.until("finally")
        assert (await client.post("/other")).json() == "ok"
        await async_wait_until(lambda: "generator ignored GeneratorExit" in caplog.text)


async def test_a_call_that_goes_on_long_after_its_client_left_is_told_in_the_log(monkeypatch, caplog):
    monkeypatch.setattr("chutes.serve.disconnects._LONG_SECONDS", 0.01)
    watched = Watched(on_disconnect="cancel")
    release = asyncio.Event()

    async def run(self):
        watched.events.append("begin")
        try:
            await asyncio.sleep(60)
        finally:
            await release.wait()

    watched.cord(run)
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await async_wait_until(lambda: "A call goes on 0.01 s after its client left" in caplog.text)
        release.set()


async def test_a_cancelled_block_leaves_its_task_as_it_was():
    left = asyncio.Event()

    async def receive():
        await left.wait()
        return {"type": "http.disconnect"}

    asyncio.get_running_loop().call_later(0.02, left.set)
    with pytest.raises(ClientGone):
        async with Disconnects(receive).cancelling():
            await asyncio.sleep(60)
    async with Disconnects(receive).cancelling():
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
    assert asyncio.current_task().cancelling() == 0


async def test_a_call_that_waits_is_dropped_before_it_begins():
    watched = Watched(concurrency=1)
    release = asyncio.Event()

    async def run(self, name: str):
        watched.events.append(name)
        await release.wait()

    watched.cord(run)
    async with AsyncTestClient(watched.chute) as client:
        first = asyncio.create_task(client.post("/run", json={"name": "first"}))
        await watched.until("first")
        left = asyncio.create_task(client.post("/run", json={"name": "left"}))
        last = asyncio.create_task(client.post("/run", json={"name": "last"}))
        await asyncio.sleep(0.03)
        left.cancel()
        await asyncio.sleep(0.03)
        release.set()
        assert [(await one).status_code for one in (first, last)] == [200, 200]
    assert watched.events == ["first", "last"]


@pytest.mark.parametrize("policy", ["cancel", None])
async def test_a_cancelled_call_gives_its_slot_back(policy):
    watched = Watched(concurrency=1)
    watched.cord(waiting(watched), stream=policy is None, on_disconnect=policy)

    @watched.chute.cord("/other")
    async def other(self):
        return "ok"

    async with AsyncTestClient(watched.chute, timeout=5) as client:
        await leave(client, watched)
        assert (await client.post("/other")).json() == "ok"


async def test_a_synchronous_cord_runs_to_its_end_and_keeps_its_slot_until_then():
    watched = Watched(concurrency=1)
    release = threading.Event()

    def run(self):
        watched.events.append("begin")
        release.wait(5)
        watched.events.append("done")

    watched.cord(run, on_disconnect="cancel")

    @watched.chute.cord("/other")
    async def other(self):
        return list(watched.events)

    async with AsyncTestClient(watched.chute, timeout=5) as client:
        await leave(client, watched)
        next_call = asyncio.create_task(client.post("/other"))
        await asyncio.sleep(0.05)
        assert not next_call.done()
        release.set()
        assert (await next_call).json() == ["begin", "done"]


async def test_timeouts_inside_a_watched_cord_are_their_own():
    chute = new_chute(on_disconnect="cancel")

    @chute.cord("/run")
    async def run(self):
        try:
            async with asyncio.timeout(0.02):
                await asyncio.sleep(60)
        except TimeoutError:
            return "timed out"

    async with AsyncTestClient(chute) as client:
        assert (await client.post("/run")).json() == "timed out"


async def test_a_cord_that_catches_its_cancellation_harms_nobody():
    watched = Watched(on_disconnect="cancel")

    async def run(self):
        watched.events.append("begin")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            watched.events.append("caught")
            return "partial"

    watched.cord(run)
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until("caught")
        watched.events.clear()
        await leave(client, watched)
        await watched.until("caught")


async def test_dependencies_are_closed_when_the_client_leaves():
    watched = Watched(on_disconnect="cancel")

    async def session():
        yield "session"
        watched.events.append("closed")

    async def run(self, session: Annotated[str, Depends(session)]):
        await waiting(watched)(self)

    watched.cord(run)
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until("closed")


async def test_the_log_says_that_the_client_left(caplog):
    caplog.set_level("INFO", logger="chutes")
    watched = Watched(on_disconnect="cancel")
    watched.cord(waiting(watched))
    async with AsyncTestClient(watched.chute) as client:
        await leave(client, watched)
        await watched.until("finally")
        await async_wait_until(lambda: "The client left POST /run" in caplog.text)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
