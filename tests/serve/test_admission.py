"""The slots and the queue: as a unit, then in front of cords."""

import asyncio
import contextvars

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chutes.errors import QueueFull
from chutes.serve.admission import Admission

STEPS = st.lists(
    st.tuples(st.sampled_from(["arrive", "finish", "cancel"]), st.integers(0, 7), st.integers(0, 2)),
    max_size=40,
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Crowd:
    """Calls that arrive, run until they are told to finish, and may be cancelled at any moment."""

    def __init__(self, admission):
        self.admission = admission
        self.arrived = []
        self.started = []
        self.running = set()
        self.refused = 0
        self.calls = {}
        self.finish = {}

    async def call(self, number):
        try:
            place = self.admission.enter()
        except QueueFull:
            self.refused += 1
            return
        self.arrived.append(number)
        try:
            if not place.start_at_once():
                await place.start()
            self.started.append(number)
            self.running.add(number)
            assert len(self.running) <= self.admission.concurrency
            await self.finish[number].wait()
        finally:
            self.running.discard(number)
            place.leave()
            place.leave()

    async def step(self, action, which, pauses):
        open_calls = [number for number, task in self.calls.items() if not task.done()]
        if action == "arrive":
            number = len(self.calls)
            self.finish[number] = asyncio.Event()
            self.calls[number] = asyncio.create_task(self.call(number))
        elif open_calls:
            number = open_calls[which % len(open_calls)]
            if action == "finish":
                self.finish[number].set()
            else:
                self.calls[number].cancel()
        for _ in range(pauses):
            await asyncio.sleep(0)
        assert 0 <= self.admission.running <= self.admission.concurrency
        assert 0 <= self.admission.admitted <= self.admission.concurrency + self.admission.max_queue
        assert self.admission.waiting >= 0

    async def end(self):
        for event in self.finish.values():
            event.set()
        await asyncio.gather(*self.calls.values(), return_exceptions=True)
        for task in self.calls.values():
            assert task.cancelled() or task.exception() is None


@given(concurrency=st.integers(1, 3), max_queue=st.integers(0, 4), steps=STEPS)
def test_whatever_happens_slots_are_kept_order_is_kept_and_counts_return_to_zero(
    concurrency, max_queue, steps
):
    async def scenario():
        crowd = Crowd(Admission(concurrency, max_queue))
        for step in steps:
            await crowd.step(*step)
        await crowd.end()
        return crowd

    crowd = asyncio.run(scenario())
    admission = crowd.admission
    assert (admission.running, admission.admitted, admission.waiting) == (0, 0, 0)
    assert crowd.started == [number for number in crowd.arrived if number in set(crowd.started)]
    assert admission.refused == crowd.refused


async def test_calls_wait_in_the_order_of_their_arrival():
    crowd = Crowd(Admission(concurrency=1, max_queue=9))
    for _ in range(5):
        await crowd.step("arrive", 0, 1)
    assert crowd.started == [0]
    assert (crowd.admission.running, crowd.admission.waiting) == (1, 4)
    crowd.calls[2].cancel()
    await crowd.end()
    assert crowd.started == [0, 1, 3, 4]


async def test_a_newcomer_does_not_overtake_the_one_whose_turn_has_come():
    crowd = Crowd(Admission(concurrency=1, max_queue=9))
    await crowd.step("arrive", 0, 1)
    await crowd.step("arrive", 0, 1)
    crowd.finish[0].set()
    await asyncio.sleep(0)
    await crowd.step("arrive", 0, 3)
    await crowd.end()
    assert crowd.started == [0, 1, 2]


async def test_a_turn_that_comes_as_its_call_is_cancelled_goes_to_the_next():
    admission = Admission(concurrency=1, max_queue=9)
    first, second, third = (admission.enter() for _ in range(3))
    assert first.start_at_once()
    cancelled = asyncio.create_task(second.start())
    following = asyncio.create_task(third.start())
    await asyncio.sleep(0)
    first.leave()
    cancelled.cancel()
    await asyncio.wait([cancelled, following], timeout=1)
    assert cancelled.cancelled()
    assert following.done()
    assert admission.running == 1


async def test_past_the_queue_a_call_is_refused_with_the_time_to_wait():
    admission = Admission(concurrency=1, max_queue=1)
    places = [admission.enter(), admission.enter()]
    assert places[0].start_at_once()
    for refuse in (admission.enter, admission.check):
        with pytest.raises(QueueFull, match=r"1 calls run and 1 wait\. Try again in 2 s\.") as caught:
            refuse()
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "2"})
    assert admission.refused == 2
    places[1].leave()
    admission.enter()


@pytest.mark.parametrize(
    ("concurrency", "seconds", "waiting", "expected"),
    [(1, 10.0, 1, 20), (1, 0.1, 3, 0.4), (4, 10.0, 7, 20), (2, 3.0, 2, 6), (1, 0.0, 5, 0)],
)
async def test_the_time_to_wait_follows_the_measured_rate(concurrency, seconds, waiting, expected):
    clock = Clock()
    admission = Admission(concurrency, max_queue=20, clock=clock)
    for _ in range(3):
        place = admission.enter()
        await place.start()
        clock.now += seconds
        place.leave()
    for _ in range(concurrency):
        await admission.enter().start()
    for _ in range(waiting):
        admission.enter()
    assert admission.waiting == waiting
    assert admission.expected_wait() == pytest.approx(expected)


async def test_the_measured_rate_follows_a_change():
    clock = Clock()
    admission = Admission(1, max_queue=20, clock=clock)

    async def serve(seconds):
        place = admission.enter()
        await place.start()
        clock.now += seconds
        place.leave()

    await serve(1)
    for _ in range(30):
        await serve(60)
    await admission.enter().start()
    assert 50 < admission.expected_wait() <= 60


async def test_a_slot_outside_cords_waits_its_turn_whatever_the_length_of_the_queue():
    admission = Admission(concurrency=1, max_queue=0)
    events = []

    async def hold(name, pauses):
        async with admission.slot():
            events.append(f"{name} in")
            for _ in range(pauses):
                await asyncio.sleep(0)
            events.append(f"{name} out")

    await asyncio.gather(*(hold(name, 3) for name in "abc"))
    assert events == ["a in", "a out", "b in", "b out", "c in", "c out"]
    assert (admission.running, admission.admitted) == (0, 0)


async def test_inside_a_slot_another_one_is_the_same():
    admission = Admission(concurrency=1, max_queue=0)
    async with asyncio.timeout(1), admission.slot(), admission.slot():
        assert admission.running == 1
    assert admission.running == 0


async def test_a_slot_is_given_back_after_an_error_and_taken_again():
    admission = Admission(concurrency=1, max_queue=0)
    for _ in range(2):
        with pytest.raises(ValueError, match="own"):
            async with admission.slot():
                raise ValueError("own")
    assert (admission.running, admission.admitted) == (0, 0)


async def test_a_cancelled_wait_for_a_slot_leaves_no_trace():
    admission = Admission(concurrency=1, max_queue=0)

    async def wait():
        async with admission.slot():
            raise AssertionError("never")

    async with admission.slot():
        waiting = asyncio.create_task(asyncio.wait_for(_in_fresh_context(wait), 0.02))
        with pytest.raises(TimeoutError):
            await waiting
    assert (admission.running, admission.admitted) == (0, 0)


async def _in_fresh_context(function):
    return await asyncio.create_task(function(), context=contextvars.Context())
