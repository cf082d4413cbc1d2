"""Batched cords: calls that come at the same time become one call with lists."""

import asyncio
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.chute import Batch
from chutes.chute.chute import definition_of
from chutes.serve.logs import current_request_id
from chutes.testing import AsyncTestClient, TestClient, async_wait_until
from support.serving import new_chute

KINDS = ("async", "sync")


class Held:
    """A chute whose batched cord `/run` waits until it is let go; `batches` are those that it was given."""

    def __init__(self, kind, batch, **options):
        self.chute = new_chute(**options)
        self.batches = []
        self.open = threading.Event()
        self.cancelled = 0

        def sync_run(chute, text: list[str], count: list[int] = 1) -> list[str]:
            self.batches.append(list(text))
            assert self.open.wait(30)
            return self.answers(text, count)

        async def async_run(chute, text: list[str], count: list[int] = 1) -> list[str]:
            self.batches.append(list(text))
            try:
                while not self.open.is_set():
                    await asyncio.sleep(0.002)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return self.answers(text, count)

        run = async_run if kind == "async" else sync_run
        self.chute.cord("/run", batch=batch)(run)

    def answers(self, text, count):
        return [one * number for one, number in zip(text, count, strict=True)]

    @property
    def admission(self):
        return definition_of(self.chute).running.admission

    @property
    def waiting(self):
        (batcher,) = definition_of(self.chute).running.batchers
        return len(batcher._items)

    async def send(self, client, *texts):
        """Send calls, in this order; returns their tasks once the first runs and the others wait."""
        calls = []
        for text in texts:
            known = self.waiting + sum(map(len, self.batches))
            calls.append(asyncio.create_task(client.post("/run", json={"text": text})))
            # Between the queue and the function an item is in neither: the model is held, so only the first goes on.
            await async_wait_until(
                lambda known=known: self.batches and self.waiting + sum(map(len, self.batches)) == known + 1
            )
        return calls


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def metrics(chute):
    return definition_of(chute).running.meters.text().decode()


async def answers(calls):
    return [response.json() for response in await asyncio.gather(*calls)]


async def test_calls_that_wait_become_one_batch_and_each_client_gets_its_own_result(kind):
    held = Held(kind, Batch(max_size=4))
    async with AsyncTestClient(held.chute) as client:
        first = await held.send(client, "first")
        others = await held.send(client, "a", "b", "c", "d", "e")
        held.open.set()
        assert await answers([*first, *others]) == ["first", "a", "b", "c", "d", "e"]
    assert held.batches == [["first"], ["a", "b", "c", "d"], ["e"]]


async def test_an_idle_model_is_given_a_lone_item_at_once(kind):
    held = Held(kind, Batch(max_size=4, max_wait=3600))
    held.open.set()
    async with AsyncTestClient(held.chute) as client, asyncio.timeout(30):
        for _ in range(3):
            assert (await client.post("/run", json={"text": "a"})).json() == "a"
    assert held.batches == [["a"]] * 3


async def test_a_free_model_waits_for_those_who_called_a_moment_ago(kind):
    held = Held(kind, Batch(max_size=8, max_wait=3600))
    async with AsyncTestClient(held.chute) as client, asyncio.timeout(30):
        first = await held.send(client, "a")
        calls = await held.send(client, "b", "c")
        held.open.set()
        # Three callers were there when the first batch ended: now the model waits for the third.
        await asyncio.gather(*first)
        calls += [asyncio.create_task(client.post("/run", json={"text": "d"}))]
        assert await answers(calls) == ["b", "c", "d"]
    assert [sorted(batch) for batch in held.batches] == [["a"], ["b", "c", "d"]]


async def test_it_waits_no_longer_than_max_wait(kind):
    held = Held(kind, Batch(max_size=8, max_wait=0.02))
    async with AsyncTestClient(held.chute) as client, asyncio.timeout(30):
        calls = await held.send(client, "a", "b", "c")
        held.open.set()
        assert await answers(calls) == ["a", "b", "c"]
        assert (await client.post("/run", json={"text": "alone"})).json() == "alone"
    assert held.batches == [["a"], ["b", "c"], ["alone"]]


async def test_each_slot_takes_a_batch(kind):
    held = Held(kind, Batch(max_size=2, max_wait=3600), concurrency=2)
    async with AsyncTestClient(held.chute) as client:
        calls = await held.send(client, "a", "b")
        assert (held.batches, held.waiting) == ([["a"]], 1)
        calls += await held.send(client, "c")
        await async_wait_until(lambda: len(held.batches) == 2)
        assert held.admission.running == 2
        calls += await held.send(client, "d", "e", "f", "g")
        assert (held.admission.running, held.waiting) == (2, 4)
        held.open.set()
        assert await answers(calls) == ["a", "b", "c", "d", "e", "f", "g"]
    assert held.batches[:2] == [["a"], ["b", "c"]]


async def test_with_a_slot_to_spare_items_wait_for_no_more_than_max_wait(kind):
    held = Held(kind, Batch(max_size=8, max_wait=0.02), concurrency=2)
    async with AsyncTestClient(held.chute) as client:
        calls = await held.send(client, "a", "b")
        await async_wait_until(lambda: len(held.batches) == 2)
        held.open.set()
        assert await answers(calls) == ["a", "b"]


async def test_sizes_are_weighed(kind):
    held = Held(kind, Batch(max_size=10, size_of=lambda text, count: len(text) * count, max_wait=3600))
    async with AsyncTestClient(held.chute) as client:
        calls = await held.send(client, "x", "a" * 4, "b" * 5, "c" * 2, "d" * 30, "e" * 10)
        held.open.set()
        await asyncio.gather(*calls)
    assert [[len(text) for text in batch] for batch in held.batches] == [[1], [4, 5], [2], [30], [10]]


async def test_a_size_that_is_none_fails_its_item_alone(kind, caplog):
    held = Held(kind, Batch(size_of=lambda text, count: {"a": 1, "b": "much"}[text]))
    held.open.set()
    async with AsyncTestClient(held.chute) as client:
        good, bad, unknown = [await client.post("/run", json={"text": text}) for text in ("a", "b", "c")]
    assert [good.status_code, bad.status_code, unknown.status_code] == [200, 500, 500]
    assert "size_of of cord 'async_run' returned 'much'" in caplog.text.replace(
        "sync_run", "async_run"
    ).replace("aasync", "async")


async def test_an_item_whose_client_left_is_dropped_before_its_batch(kind):
    held = Held(kind, Batch(max_size=8))
    async with AsyncTestClient(held.chute) as client:
        running = await held.send(client, "a")
        leaving, staying = await held.send(client, "leaves", "stays")
        leaving.cancel()
        await async_wait_until(lambda: held.waiting == 1)
        held.open.set()
        assert await answers([*running, staying]) == ["a", "stays"]
    assert held.batches == [["a"], ["stays"]]


async def test_a_batch_goes_on_for_those_who_stayed():
    held = Held("async", Batch(max_size=2, max_wait=3600), concurrency=2)
    async with AsyncTestClient(held.chute) as client:
        first = await held.send(client, "a")
        leaving, staying = await held.send(client, "leaves", "stays")
        await async_wait_until(lambda: len(held.batches) == 2)
        leaving.cancel()
        await asyncio.wait([leaving])
        await async_wait_until(lambda: 'cancelled_total{cord="async_run"} 1' in metrics(held.chute))
        held.open.set()
        assert await answers([*first, staying]) == ["a", "stays"]
    assert (held.batches, held.cancelled) == ([["a"], ["leaves", "stays"]], 0)


async def test_a_batch_that_nobody_waits_for_is_cancelled():
    held = Held("async", Batch(max_size=8))
    async with AsyncTestClient(held.chute) as client:
        (call,) = await held.send(client, "a")
        call.cancel()
        await async_wait_until(lambda: held.cancelled == 1)
        held.open.set()
        assert (await client.post("/run", json={"text": "b"})).json() == "b"
        assert held.admission.running == 0


async def test_a_thread_that_nobody_waits_for_keeps_its_slot():
    held = Held("sync", Batch(max_size=8))
    async with AsyncTestClient(held.chute) as client:
        (call,) = await held.send(client, "a")
        call.cancel()
        await asyncio.wait([call])
        assert held.admission.running == 1
        held.open.set()
        await async_wait_until(lambda: held.admission.running == 0)


async def test_with_finish_a_client_that_leaves_stops_nothing():
    held = Held("async", Batch(max_size=8), on_disconnect="finish")
    async with AsyncTestClient(held.chute) as client:
        (call,) = await held.send(client, "a")
        call.cancel()
        await asyncio.wait([call])
        held.open.set()
        await async_wait_until(lambda: held.admission.running == 0)
    assert held.cancelled == 0


async def test_past_the_queue_items_are_refused(kind):
    held = Held(kind, Batch(max_size=2, max_queue=3))
    async with AsyncTestClient(held.chute) as client:
        calls = await held.send(client, "a", "b", "c", "d")
        refused = await client.post("/run", json={"text": "e"})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json() == {"detail": "The chute is busy: 3 items wait. Try again in 1 s."}
        held.open.set()
        assert await answers(calls) == ["a", "b", "c", "d"]
        metrics = (await client.get("/metrics")).text
    assert 'reason="queue_full"} 1.0' in metrics
    assert definition_of(held.chute).running.admission.refused == 0


@pytest.mark.parametrize(
    ("batch", "max_queue", "expected"),
    [
        (Batch(max_size=2), 9, 9),
        (Batch(max_size=32), 9, 64),
        (Batch(max_size=32, max_queue=5), 9, 5),
        (Batch(max_size=4096, size_of=len), 9, 9),
    ],
)
def test_the_queue_is_the_chutes_or_two_batches_long(batch, max_queue, expected):
    held = Held("sync", batch, max_queue=max_queue)
    with TestClient(held.chute):
        (batcher,) = definition_of(held.chute).running.batchers
    assert batcher.max_queue == expected


async def test_other_cords_get_their_turn_between_two_batches(kind):
    held = Held(kind, Batch(max_size=2))

    @held.chute.cord("/other")
    async def other(self):
        held.batches.append("other")

    async with AsyncTestClient(held.chute) as client:
        calls = await held.send(client, "a", "b", "c", "d", "e", "f", "g", "h")
        calls.append(asyncio.create_task(client.post("/other")))
        await async_wait_until(lambda: held.admission.queued == 1)
        held.open.set()
        await asyncio.gather(*calls)
    assert held.batches.index("other") in (1, 2)


async def test_an_error_of_many_items_has_for_each_the_frames_of_its_own_call(caplog):
    class BrokenError(Exception):
        pass

    started, going = threading.Event(), threading.Event()

    def run(chute, text: list[str]) -> list[str]:
        if text == ["first"]:
            started.set()
            assert going.wait(30)
            return text
        raise BrokenError("all of it")

    chute = new_chute()
    chute.cord("/run", batch=Batch())(run)
    async with AsyncTestClient(chute) as client:
        calls = [asyncio.create_task(client.post("/run", json={"text": "first"}))]
        await async_wait_until(started.is_set)
        calls += [asyncio.create_task(client.post("/run", json={"text": text})) for text in "abc"]
        (batcher,) = definition_of(chute).running.batchers
        await async_wait_until(lambda: len(batcher._items) == 3)
        going.set()
        statuses = [response.status_code for response in await asyncio.gather(*calls)]
    assert statuses == [200, 500, 500, 500]
    lengths = set()
    for record in caplog.records:
        if record.exc_info:
            lengths.add(caplog.handler.format(record).count('File "'))
    assert len(lengths) == 1


async def test_the_log_lines_of_a_batch_have_the_ids_of_all_its_requests():
    seen = []

    def run(chute, text: list[str]) -> list[str]:
        seen.append(current_request_id.get())
        return text

    chute = new_chute()
    chute.cord("/run", batch=Batch())(run)
    async with AsyncTestClient(chute) as client:
        await asyncio.gather(
            *(client.post("/run", json={"text": "a"}, headers={"X-Request-ID": f"id-{n}"}) for n in range(3))
        )
    assert sorted(",".join(seen).split(",")) == ["id-0", "id-1", "id-2"]


async def test_inside_a_batch_the_chutes_slot_is_the_batchs_own():
    chute = new_chute()

    @chute.cord("/run", batch=Batch())
    async def run(self, text: list[str]) -> list[str]:
        async with self.slot():
            return text

    async with AsyncTestClient(chute) as client, asyncio.timeout(30):
        assert (await client.post("/run", json={"text": "a"})).json() == "a"


async def test_shutdown_answers_everybody(kind):
    held = Held(kind, Batch(max_size=2))
    async with AsyncTestClient(held.chute) as client:
        calls = await held.send(client, "a", "b", "c", "d")
        (batcher,) = definition_of(held.chute).running.batchers
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        held.open.set()
        await closing
        responses = await asyncio.gather(*calls)
        statuses = [response.status_code for response in responses]
        assert statuses[1:] == [503, 503, 503]
        # The function had been called: nobody may take it for work that was not begun.
        assert statuses[0] == (200 if kind == "sync" else 500)
        assert "Retry-After" not in responses[0].headers
        assert responses[3].headers["Retry-After"] == "1"
        assert held.admission.running == 0


async def test_after_a_stop_a_chute_can_start_again(kind):
    held = Held(kind, Batch(max_size=2))
    held.open.set()
    for _ in range(2):
        async with AsyncTestClient(held.chute) as client:
            assert (await client.post("/run", json={"text": "a"})).json() == "a"


@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=20),
    max_size=st.integers(1, 10),
    leaving=st.sets(st.integers(0, 19)),
    sync=st.booleans(),
    concurrency=st.integers(1, 3),
)
def test_whatever_comes_batches_are_in_order_and_not_too_large(sizes, max_size, leaving, sync, concurrency):
    async def scenario():
        batch = Batch(max_size=max_size, max_wait=0, size_of=lambda text, _count: len(text), max_queue=100)
        held = Held("sync" if sync else "async", batch, concurrency=concurrency)
        async with AsyncTestClient(held.chute) as client:
            texts = [chr(97 + number) * size for number, size in enumerate(sizes)]
            calls = [asyncio.create_task(client.post("/run", json={"text": text})) for text in texts]
            for number in leaving & set(range(len(calls))):
                await asyncio.sleep(0)
                calls[number].cancel()
            held.open.set()
            results = await asyncio.gather(*calls, return_exceptions=True)
            for number, result in enumerate(results):
                if number not in leaving:
                    assert result.json() == texts[number]
            await async_wait_until(lambda: held.waiting == held.admission.running == 0)
        for given_batch in held.batches:
            assert len(given_batch) == 1 or sum(map(len, given_batch)) <= max_size
        assert held.admission.running == held.admission.admitted == 0

    logging.disable(logging.CRITICAL)
    try:
        asyncio.run(scenario())
    finally:
        logging.disable(logging.NOTSET)
