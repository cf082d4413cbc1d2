"""`timeout=` of a cord: 504 at the deadline, whatever the call is doing then."""

import asyncio
import threading
from typing import Any

import pytest

from chutes.chute import Batch
from chutes.chute.chute import definition_of
from chutes.errors import DeadlineUnreachable, DefinitionError, QueueFull
from chutes.serve.admission import Admission
from chutes.testing import AsyncTestClient, TestClient, async_wait_until
from support.serving import new_chute, serving

SHORT = 0.05
TOO_LATE = {"detail": "The call took more than its timeout of 0.05 s."}


def metrics(chute):
    return definition_of(chute).running.meters.text().decode()


@pytest.fixture(params=["on", "off"], autouse=True)
def fast_path(request, monkeypatch):
    monkeypatch.setenv("CHUTES_FAST_PATH", request.param)


async def test_an_async_call_is_cancelled_and_its_slot_is_free():
    events = []
    chute = new_chute()

    @chute.cord("/run", timeout=SHORT)
    async def run(self, sleep: bool):
        try:
            await asyncio.sleep(3600 if sleep else 0)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        return "done"

    async with AsyncTestClient(chute) as client:
        late = await client.post("/run", json={"sleep": True})
        assert (late.status_code, late.json()) == (504, TOO_LATE)
        assert events == ["cancelled"]
        assert definition_of(chute).running.admission.running == 0
        assert (await client.post("/run", json={"sleep": False})).json() == "done"
        assert 'chutes_timeouts_total{cord="run"} 1.0' in metrics(chute)


async def test_a_sync_call_is_answered_and_keeps_its_slot_to_its_end(caplog):
    going, ended = threading.Event(), threading.Event()
    chute = new_chute(concurrency=1)

    @chute.cord("/run", timeout=SHORT)
    def run(self, wait: bool):
        if wait:
            assert going.wait(30)
            ended.set()
        return "done"

    async with AsyncTestClient(chute) as client:
        late = await client.post("/run", json={"wait": True})
        assert (late.status_code, late.json()) == (504, TOO_LATE)
        admission = definition_of(chute).running.admission
        assert (admission.running, ended.is_set()) == (1, False)
        assert 'chutes_overrunning{cord="run"} 1.0' in metrics(chute)
        # The slot is taken: who comes now gets none before its own deadline.
        assert (await client.post("/run", json={"wait": False})).status_code == 504
        going.set()
        await async_wait_until(lambda: admission.running == 0)
        assert (await client.post("/run", json={"wait": False})).json() == "done"
        assert 'chutes_overrunning{cord="run"} 0.0' in metrics(chute)
    assert "A call of 'run' ended" in caplog.text
    assert "after its timeout of 0.05 s; its result is lost" in caplog.text


async def test_an_error_after_the_deadline_is_in_the_log(caplog):
    going = threading.Event()
    chute = new_chute()

    @chute.cord("/run", timeout=SHORT)
    def run(self):
        assert going.wait(30)
        raise KeyError("too late")

    async with AsyncTestClient(chute) as client:
        assert (await client.post("/run")).status_code == 504
        going.set()
        await async_wait_until(lambda: definition_of(chute).running.admission.running == 0)
    assert "KeyError: 'too late'" in caplog.text


async def test_a_call_in_the_queue_is_answered_at_its_deadline():
    chute = new_chute(concurrency=1)
    inside = asyncio.Event()
    going = asyncio.Event()

    @chute.cord("/hold")
    async def hold(self):
        inside.set()
        await going.wait()

    called = []

    @chute.cord("/run", timeout=SHORT)
    async def run(self):
        called.append(1)

    async with AsyncTestClient(chute) as client:
        holding = asyncio.create_task(client.post("/hold"))
        await inside.wait()
        late = await client.post("/run")
        assert (late.status_code, late.json()) == (504, TOO_LATE)
        admission = definition_of(chute).running.admission
        assert (admission.waiting, called) == (0, [])
        going.set()
        await holding
        assert (await client.post("/run")).status_code == 200


async def test_a_timeout_of_the_functions_own_is_an_error_of_its_own():
    async def run(chute):
        raise TimeoutError("its own")

    with serving(run, timeout=3600) as client:
        assert client.post("/run").status_code == 500


async def test_a_batched_item_is_answered_at_its_deadline_and_the_others_get_their_results():
    going = threading.Event()
    batches = []
    chute = new_chute()

    @chute.cord("/run", batch=Batch(), timeout=SHORT)
    def run(self, text: list[str]) -> list[str]:
        batches.append(text)
        assert going.wait(30)
        return text

    async with AsyncTestClient(chute) as client:
        assert (await client.post("/run", json={"text": "runs"})).status_code == 504
        assert (await client.post("/run", json={"text": "waits"})).status_code == 504
        going.set()
        await async_wait_until(lambda: definition_of(chute).running.admission.running == 0)
        assert (await client.post("/run", json={"text": "good"})).json() == "good"
    assert batches == [["runs"], ["good"]]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_stream_whose_first_chunk_is_late_is_a_504(kind):
    going = threading.Event()

    async def late(chute):
        await asyncio.sleep(3600)
        yield "never"

    def late_in_a_thread(chute):
        assert going.wait(0.2) is False
        yield "too late"

    function = late if kind == "async" else late_in_a_thread
    with serving(function, stream=True, timeout=SHORT) as client:
        response = client.post("/run")
        assert (response.status_code, response.json()) == (504, TOO_LATE)
        going.set()


async def test_a_stream_of_events_says_that_it_is_late_and_ends():
    closed = []

    async def run(chute):
        try:
            yield {"n": 1}
            await asyncio.sleep(3600)
        finally:
            closed.append(1)

    with serving(run, stream=True, timeout=0.3) as client:
        text = client.post("/run").text
    assert text.startswith('data: {"n":1}\n\nevent: error\ndata: {')
    assert "The call took more than its timeout of 0.3 s." in text
    assert closed == [1]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


async def test_a_call_whose_turn_would_come_too_late_is_refused_at_once():
    clock = Clock()
    admission = Admission(concurrency=1, max_queue=9, clock=clock)
    place = admission.enter(timeout=1)
    await place.start()
    clock.now += 10
    place.leave()
    await admission.enter(timeout=1).start()
    admission.enter()
    for timeout in (1, 19):
        with pytest.raises(DeadlineUnreachable) as refused:
            admission.enter(timeout=timeout)
        assert refused.value.headers == {"Retry-After": str(20 - timeout)}
        assert f"this call would begin after its timeout of {timeout} s." in refused.value.detail
    assert issubclass(DeadlineUnreachable, QueueFull)
    admission.enter(timeout=21)
    admission.enter()


async def test_such_a_refusal_is_503_and_counted_by_its_reason():
    chute = new_chute(concurrency=1)
    going = asyncio.Event()

    @chute.cord("/hold")
    async def hold(self):
        await going.wait()

    @chute.cord("/run", timeout=5)
    async def run(self, text: str):
        return text

    async with AsyncTestClient(chute) as client:
        admission = definition_of(chute).running.admission
        admission.measure(100.0)
        holding = asyncio.create_task(client.post("/hold"))
        await async_wait_until(lambda: admission.running == 1)
        refused = await client.post("/run", json={"text": "a"})
        assert (refused.status_code, int(refused.headers["Retry-After"])) == (503, pytest.approx(95, abs=2))
        assert 'chutes_refused_total{cord="run",reason="deadline"} 1.0' in metrics(chute)
        assert 'chutes_refused_total{cord="run",reason="queue_full"} 0.0' in metrics(chute)
        going.set()
        await holding
        assert (await client.post("/run", json={"text": "a"})).json() == "a"


async def on_the_loop(chute) -> Any:
    return "done"


def test_a_call_in_time_is_answered_as_without_a_limit():
    chute = new_chute()
    for number, function in enumerate((in_a_thread, on_the_loop)):
        chute.cord(f"/run{number}", timeout=3600)(function)
    with TestClient(chute) as client:
        assert client.post("/run0").json() == "done"
        assert client.post("/run1").json() == "done"


def in_a_thread(chute):
    return "done"


@pytest.mark.parametrize("timeout", [0, -1, "5", True, float("inf"), float("nan")])
def test_a_timeout_that_is_none_says_so(timeout):
    with pytest.raises(
        DefinitionError, match=r"Invalid timeout .* for cord 'in_a_thread'\. It takes seconds, more than 0"
    ):
        new_chute().cord("/run", timeout=timeout)(in_a_thread)
