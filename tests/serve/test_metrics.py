"""`/metrics`: counts and durations of the cords, as Prometheus reads them."""

import asyncio
import dataclasses
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chutes.chute import Batch
from chutes.serve.admission import Admission
from chutes.serve.metrics import Meters
from chutes.testing import AsyncTestClient, TestClient, async_wait_until
from support.serving import new_chute


@pytest.fixture
def chute():
    chute = new_chute(concurrency=2)

    @chute.cord("/run")
    async def run(self, value: int = 0):
        if value < 0:
            raise ValueError("negative")
        return value

    return chute


def samples(text):
    """(name, labels) → value; a pair that stands there twice is an error."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} stands there twice"
            found[key] = sample.value
    return found


def read(client):
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(response.text)


def requests(found, cord, status):
    return found.get(("chutes_requests_total", (("cord", cord), ("status", str(status)))), 0)


def of(found, name, cord, **labels):
    return found[name, tuple(sorted({"cord": cord, **labels}.items()))]


def meter_of_one_cord():
    chute = new_chute()
    chute.cord("/run")(lambda self: 1)
    meters = Meters(Admission(1, 0))
    return meters, meters.of(chute.cords[0])


def test_answers_are_counted_by_cord_and_status(chute):
    with TestClient(chute) as client:
        for value in (1, 2, -1, "x"):
            client.post("/run", json={"value": value})
        client.get("/nowhere")
        found = read(client)
    assert [requests(found, "run", status) for status in (200, 500, 422, 404)] == [2, 1, 1, 0]
    assert of(found, "chutes_request_seconds_count", "run") == 4
    assert of(found, "chutes_request_seconds_sum", "run") > 0
    for reason in ("queue_full", "deadline"):
        assert of(found, "chutes_refused_total", "run", reason=reason) == 0
    assert of(found, "chutes_cancelled_total", "run") == of(found, "chutes_timeouts_total", "run") == 0


def test_a_cord_that_was_never_called_stands_there_with_zero(chute):
    with TestClient(chute) as client:
        found = read(client)
    assert of(found, "chutes_request_seconds_count", "run") == 0
    assert found["chutes_concurrency", ()] == 2
    assert found["chutes_running", ()] == found["chutes_waiting", ()] == 0


def test_buckets_count_up_to_infinity(chute):
    with TestClient(chute) as client:
        client.post("/run", json={})
        found = read(client)
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "chutes_request_seconds_bucket"
    }
    assert buckets["+Inf"] == 1
    assert list(buckets.values()) == sorted(buckets.values())
    assert {"0.005", "1.0", "300.0"} <= set(buckets)


def test_each_duration_falls_into_its_bucket():
    meters, meter = meter_of_one_cord()
    for seconds in (0.005, 0.0051, 1.0, 301):
        meter.count(200, seconds)
    found = samples(meters.text().decode())
    values = [
        found["chutes_request_seconds_bucket", (("cord", "<lambda>"), ("le", bound))]
        for bound in ("0.005", "0.01", "0.5", "1.0", "300.0", "+Inf")
    ]
    assert values == [1, 2, 2, 3, 3, 4]


def test_calls_that_found_a_slot_count_as_a_wait_of_no_time():
    meters, meter = meter_of_one_cord()
    meter.at_once += 3
    meter.queued(0.2)
    found = samples(meters.text().decode())
    values = [
        of(found, "chutes_queue_seconds_bucket", "<lambda>", le=bound) for bound in ("0.005", "0.1", "0.25")
    ]
    assert values == [3, 3, 4]
    assert of(found, "chutes_queue_seconds_count", "<lambda>") == 4
    assert of(found, "chutes_queue_seconds_sum", "<lambda>") == 0.2


def test_batches_are_shown_by_their_size_and_only_for_cords_that_have_them():
    meters, meter = meter_of_one_cord()
    assert "chutes_batch_size_count{" not in meters.text().decode()
    meter.waiting = lambda: 7
    for size in (1, 8, 9, 5000):
        meter.batched(size)
    found = samples(meters.text().decode())
    values = [of(found, "chutes_batch_size_bucket", "<lambda>", le=bound) for bound in ("1.0", "8.0", "16.0")]
    assert values == [1, 2, 3]
    assert of(found, "chutes_batch_size_count", "<lambda>") == 4
    assert of(found, "chutes_batch_size_sum", "<lambda>") == 5018
    assert of(found, "chutes_batch_waiting", "<lambda>") == 7


def test_refusals_timeouts_and_overruns_are_told_apart():
    meters, meter = meter_of_one_cord()
    meter.refused += 2
    meter.hopeless += 3
    meter.timeouts += 4
    meter.overrunning += 1
    found = samples(meters.text().decode())
    assert of(found, "chutes_refused_total", "<lambda>", reason="queue_full") == 2
    assert of(found, "chutes_refused_total", "<lambda>", reason="deadline") == 3
    assert of(found, "chutes_timeouts_total", "<lambda>") == 4
    assert of(found, "chutes_overrunning", "<lambda>") == 1


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells of a process there")
def test_the_process_shows_its_memory_its_time_and_its_descriptors():
    found = samples(meter_of_one_cord()[0].text().decode())
    names = ("resident_memory_bytes", "cpu_seconds_total", "start_time_seconds", "open_fds")
    assert all(found[f"process_{name}", ()] > 0 for name in names)
    assert any(name == "python_info" for name, _ in found)


@pytest.fixture
def hasty_threads():
    former = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(former)


@pytest.mark.usefixtures("hasty_threads")
def test_the_text_is_whole_while_another_thread_writes():
    """The probe port asks from a thread of its own."""
    chute = new_chute()
    chute.cord("/run")(lambda self: 1)
    cords = [dataclasses.replace(chute.cords[0], name=f"cord{number}") for number in range(30)]
    meters, done = [Meters(Admission(1, 0))], threading.Event()

    def write():
        number = 0
        while not done.is_set():
            number += 1
            meter = meters[-1].of(cords[number % len(cords)])
            meter.count(200 + number % 60, number / 1000)
            meter.queued(0.1)
            meter.waiting = lambda: 1
            meter.batched(number % 40 + 1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for round_ in range(16):
            if round_ % 4 == 0:
                # What grows while it is read is what could break.
                meters.append(Meters(Admission(1, 0)))
            found = samples(meters[-1].text().decode())
            for (name, labels), value in found.items():
                if name == "chutes_request_seconds_bucket" and ("le", "+Inf") in labels:
                    assert value == of(found, "chutes_request_seconds_count", dict(labels)["cord"])
    finally:
        done.set()
        writer.join()


async def test_running_waiting_refused_and_cancelled_calls_are_counted():
    chute = new_chute(concurrency=1, max_queue=1, on_disconnect="cancel")
    let_go = asyncio.Event()

    @chute.cord("/wait")
    async def wait(self):
        await let_go.wait()

    async def current(client):
        return samples((await client.get("/metrics")).text)

    async def until(client, name, value):
        for _ in range(500):
            if (await current(client))[name, ()] == value:
                return
            await asyncio.sleep(0.002)
        pytest.fail(f"{name} is not {value}")

    async with AsyncTestClient(chute) as client:
        first = asyncio.create_task(client.post("/wait"))
        await until(client, "chutes_running", 1)
        second = asyncio.create_task(client.post("/wait"))
        await until(client, "chutes_waiting", 1)
        assert of(await current(client), "chutes_in_flight", "wait") == 2
        assert (await client.post("/wait")).status_code == 503
        second.cancel()
        await until(client, "chutes_waiting", 0)
        let_go.set()
        await first
        found = await current(client)
    assert (found["chutes_running", ()], found["chutes_waiting", ()]) == (0, 0)
    assert of(found, "chutes_in_flight", "wait") == 0
    # One found a slot, one waited and left.
    assert of(found, "chutes_queue_seconds_count", "wait") == 1
    assert of(found, "chutes_refused_total", "wait", reason="queue_full") == 1
    assert of(found, "chutes_refused_total", "wait", reason="deadline") == 0
    assert of(found, "chutes_cancelled_total", "wait") == 1
    assert requests(found, "wait", 503) == 1
    assert requests(found, "wait", 200) == 1


async def test_a_stream_counts_with_its_whole_duration_and_when_it_is_cancelled():
    chute = new_chute()

    @chute.cord("/stream", stream=True)
    async def stream(self):
        for _ in range(3):
            yield "a"
            await asyncio.sleep(0.01)

    @chute.cord("/endless", stream=True)
    async def endless(self):
        while True:
            yield "a"
            await asyncio.sleep(0.005)

    async with AsyncTestClient(chute) as client:
        await client.post("/stream")
        async with client.stream("POST", "/endless") as response:
            await anext(response.aiter_raw())
        cancelled = chute._Chute__definition.running.meters.of(chute.cords[1])
        await async_wait_until(lambda: cancelled.cancelled)
        found = samples((await client.get("/metrics")).text)
    assert requests(found, "stream", 200) == 1
    assert of(found, "chutes_chunks_total", "stream") == 3
    assert of(found, "chutes_first_chunk_seconds_count", "stream") == 1
    assert of(found, "chutes_first_chunk_seconds_sum", "stream") < of(
        found, "chutes_request_seconds_sum", "stream"
    )
    assert of(found, "chutes_in_flight", "stream") == of(found, "chutes_in_flight", "endless") == 0
    assert of(found, "chutes_request_seconds_sum", "stream") >= 0.03
    assert of(found, "chutes_cancelled_total", "endless") == 1


@pytest.mark.parametrize("way", ["on", "off"])
def test_nothing_stays_in_flight_whatever_comes_of_a_request(chute, monkeypatch, way):
    monkeypatch.setenv("CHUTES_FAST_PATH", way)

    @chute.cord("/batched", batch=Batch(max_size=4))
    async def batched(self, value: list[int]) -> list[int]:
        if -1 in value:
            raise ValueError("negative")
        return value

    with TestClient(chute) as client:
        for path in ("/run", "/batched"):
            for value in (1, -1, "x"):
                client.post(path, json={"value": value})
            client.post(path, content=b"{")
            client.get(path)
        found = read(client)
    for cord in ("run", "batched"):
        assert of(found, "chutes_request_seconds_count", cord) == 4
        assert of(found, "chutes_in_flight", cord) == 0
    assert (
        of(found, "chutes_batch_size_count", "batched") == of(found, "chutes_batch_size_sum", "batched") == 2
    )
    assert of(found, "chutes_queue_seconds_count", "batched") == 2
    assert of(found, "chutes_batch_waiting", "batched") == 0


def test_one_function_under_two_verbs_or_paths_is_one_series(chute):
    @chute.cord("/both", method="GET")
    @chute.cord("/both")
    @chute.cord("/third")
    async def both(self):
        return "ok"

    with TestClient(chute) as client:
        client.get("/both")
        client.post("/both")
        client.post("/third")
        found = read(client)
    assert requests(found, "both", 200) == 3


def test_what_is_no_cord_is_not_counted(chute):
    chute.app.get("/own")(lambda: "own")
    with TestClient(chute) as client:
        for path in ("/own", "/health", "/docs", "/metrics"):
            client.get(path)
        found = read(client)
    cords = {dict(labels).get("cord") for _, labels in found}
    assert cords == {None, "run"}


def test_a_name_with_odd_characters_is_escaped():
    chute = new_chute()

    def run(self):
        return 1

    run.__name__ = 'a"b\\c'
    chute.cord("/run")(run)
    with TestClient(chute) as client:
        client.post("/run")
        assert requests(read(client), 'a"b\\c', 200) == 1
