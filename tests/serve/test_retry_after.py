"""`Retry-After` tells the truth: a simulation in which a day of overload takes a second."""

import asyncio
import heapq
import random
import statistics

import pytest

from chutes.errors import QueueFull
from chutes.serve.admission import Admission

CALLS = 600
MEAN = 4.0
LENGTHS = {
    "constant": lambda rng: MEAN,
    "uniform": lambda rng: rng.uniform(0, 2 * MEAN),
    "exponential": lambda rng: rng.expovariate(1 / MEAN),
    "two kinds": lambda rng: rng.choice([MEAN / 4, 7 * MEAN / 4]),
}


class Simulation:
    """Calls that come at random, each as long as it was going to be; the clock goes from event to event.

    Args:
        load: calls that come, as a multiple of those that can be served.
        length: draws how many seconds a call takes.
    """

    def __init__(self, *, load, length, concurrency, max_queue):
        self.now = 0.0
        self.rng = random.Random(11)
        self.admission = Admission(concurrency, max_queue, clock=lambda: self.now)
        self.rate = load * concurrency / MEAN
        self.length = length
        self.events = []
        self.begun = []
        self.told = []
        self.tasks = set()

    async def run(self):
        """All calls; returns pairs of what a refused call was told, and the time after which it would have begun."""
        self.at(self.rng.expovariate(self.rate), self.arrive)
        left = CALLS
        while self.events:
            self.now, _, happen = heapq.heappop(self.events)
            happen()
            if happen == self.arrive and (left := left - 1):
                self.at(self.rng.expovariate(self.rate), self.arrive)
            for _ in range(6):
                await asyncio.sleep(0)
        # Had it been let in, it would have begun one after those that waited before it.
        return [
            (told, self.begun[position] - since)
            for told, since, position in self.told
            if position < len(self.begun)
        ]

    def at(self, seconds, happen):
        heapq.heappush(self.events, (self.now + seconds, len(self.events) + self.rng.random(), happen))

    def arrive(self):
        try:
            place = self.admission.enter()
        except QueueFull as full:
            position = len(self.begun) + self.admission.waiting
            self.told.append((int(full.headers["Retry-After"]), self.now, position))
            return
        task = asyncio.create_task(self.serve(place))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def serve(self, place):
        if not place.start_at_once():
            await place.start()
        self.begun.append(self.now)
        done = asyncio.Event()
        self.at(self.length(self.rng), done.set)
        await done.wait()
        place.leave()


@pytest.mark.parametrize("load", [1.3, 2, 6])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("concurrency", "max_queue"), [(1, 8), (4, 32), (8, 16)])
def test_what_a_refused_call_is_told_is_near_the_truth(load, length, concurrency, max_queue):
    simulation = Simulation(load=load, length=LENGTHS[length], concurrency=concurrency, max_queue=max_queue)
    told = asyncio.run(simulation.run())
    assert len(told) > CALLS * (1 - 1 / load) / 3
    near = [0.5 <= said / true <= 1.5 for said, true in told]
    # Nobody can know how long a call takes whose length is drawn like that of a phone call.
    assert statistics.mean(near) >= (0.85 if length in ("constant", "uniform") else 0.7)
    assert 0.8 < statistics.median(said / true for said, true in told) < 1.2
