"""State on the chute: a cache for answers that are dear to compute, and figures about the requests.

Run it:   python examples/state_and_statistics.py
Ask it:   curl -s 127.0.0.1:8000/factors -H 'Content-Type: application/json' -d '{"number": 99999820000081}'
Twice, then look at http://127.0.0.1:8000/stats.
"""

import asyncio
import time
from collections import OrderedDict, deque
from typing import Annotated

from pydantic import BaseModel, Field

from chutes.chute import Chute

CACHE_SIZE = 1000
LARGEST = 10**14

chute = Chute(
    username="examples",
    name="state-and-statistics",
    image="python:3.11",
    tagline="Prime factors, remembered and counted",
    concurrency=4,
)


class Factors(BaseModel):
    number: int
    factors: list[int]
    cached: bool
    milliseconds: float


# `self` is the chute: what a hook puts on it, every cord sees. One process has one chute, so this is the
# place for a model, a cache or a counter. It is gone when the process ends.
@chute.on_startup()
async def prepare_state(self):
    self.started_at = time.monotonic()
    self.cache = OrderedDict()
    self.under_way = {}
    self.requests = 0
    self.cache_hits = 0
    self.durations = deque(maxlen=1000)


def prime_factors(number: int) -> list[int]:
    """Try every divisor up to the square root: up to a second of plain work, so worth remembering."""
    factors = []
    divisor = 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        else:
            divisor += 1
    return [*factors, number]


@chute.cord("/factors", output_schema=Factors)
async def factorise(self, number: Annotated[int, Field(ge=2, le=LARGEST)]) -> Factors:
    """The prime factors of a number."""
    started = time.perf_counter()
    self.requests += 1
    cached = number in self.cache
    if cached:
        self.cache_hits += 1
        self.cache.move_to_end(number)
        factors = self.cache[number]
    else:
        factors = await self.shared_calculation(number)
    milliseconds = (time.perf_counter() - started) * 1000
    self.durations.append(milliseconds)
    return Factors(number=number, factors=factors, cached=cached, milliseconds=round(milliseconds, 3))


# Functions of this file whose first parameter is `self` are found as methods: `self.calculate(number)`.
async def shared_calculation(self, number: int) -> list[int]:
    """Callers who want the same number at the same time share one calculation."""
    if number not in self.under_way:
        self.under_way[number] = asyncio.create_task(self.calculate(number))
    # The shield keeps the calculation going for the others when one caller is cancelled.
    return await asyncio.shield(self.under_way[number])


# The cache and the counters need no lock. Everything that touches them runs on the event loop, where nothing
# else runs between two `await`s. Only the arithmetic goes to a thread, so that the loop stays free for others
# meanwhile. (A cord written as plain `def` would run in a thread itself, and would need a lock here.)
async def calculate(self, number: int) -> list[int]:
    try:
        self.cache[number] = factors = await asyncio.to_thread(prime_factors, number)
    finally:
        del self.under_way[number]
    # A cache without a bound is a leak: the entry that was not asked for longest goes first.
    if len(self.cache) > CACHE_SIZE:
        self.cache.popitem(last=False)
    return factors


@chute.cord("/stats", method="GET")
async def stats(self) -> dict:
    """Figures since the start; the durations are those of the last 1,000 requests."""
    durations = sorted(self.durations)
    return {
        "uptime_seconds": round(time.monotonic() - self.started_at, 1),
        "requests": self.requests,
        "cache_hits": self.cache_hits,
        "cache_hit_rate": round(self.cache_hits / self.requests, 3) if self.requests else None,
        "cache_entries": len(self.cache),
        "milliseconds_median": percentile(durations, 0.5),
        "milliseconds_p95": percentile(durations, 0.95),
    }


def percentile(ordered: list[float], share: float) -> float | None:
    return round(ordered[int(share * len(ordered))], 3) if ordered else None


@chute.cord("/cache", method="DELETE")
async def clear_cache(self) -> dict:
    """Forget every answer."""
    entries = len(self.cache)
    self.cache.clear()
    return {"removed": entries}


if __name__ == "__main__":
    chute.run_local(host="127.0.0.1")
