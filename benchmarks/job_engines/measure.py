"""What is measured of a job engine, in a process of its environment; it needs nothing but Python itself.

python -m benchmarks.job_engines.NAME measure DATABASE SECONDS
python -m benchmarks.job_engines.NAME hold DATABASE FILE
python -m benchmarks.job_engines.NAME again DATABASE FILE
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

__all__ = ["CONCURRENCY", "HELD", "Engine", "Seen", "main"]

CONCURRENCY = 32
HELD = 4
_SUBMITTERS = 16
_MOST_WAITING = 256
_WARM_UP = 20
_ALONE = 100
_STARTS = 100
_LONGEST_LATENCY_SECONDS = 12.0
_HELD_SECONDS = 60.0
_END_SECONDS = 120.0


class Seen:
    """What the functions of jobs tell: they may run in threads."""

    def __init__(self, file: Path | None = None) -> None:
        self.count = 0
        self.at: dict[int, float] = {}
        self._file = file

    def begun(self, number: int) -> None:
        """A run has begun; called from its function."""
        self.at[number] = time.perf_counter()
        self.count += 1
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(f"{number} {time.monotonic()}\n")


class Engine(Protocol):
    """One engine on an empty database."""

    async def open(self) -> None:
        """Connect, and make the tables."""

    async def work(self) -> None:
        """Begin to run jobs, `CONCURRENCY` at once."""

    async def submit(self, number: int, seconds: float) -> None:
        """Store a run that tells `Seen` its number, waits so long and returns the number."""

    async def unfinished(self) -> int:
        """Runs whose end is not stored yet."""

    async def close(self) -> None:
        """End all that would keep the process."""


def main(engine: Callable[[str, Seen], Engine]) -> None:
    """Act as the command line says; figures go to the standard output, as JSON."""
    action, where, last = sys.argv[1:4]
    if action == "measure":
        seen = Seen()
        print(json.dumps(asyncio.run(_measure(engine(where, seen), seen, float(last)))), flush=True)
    else:
        seen = Seen(Path(last))
        asyncio.run(_hold(engine(where, seen), new=action == "hold"))


async def _measure(engine: Engine, seen: Seen, seconds: float) -> dict[str, float]:
    await engine.open()
    await _submit_alone(engine, _WARM_UP)
    alone = await _submit_alone(engine, _ALONE)
    together, accepted = await _submit_together(engine, seconds / 4)
    await engine.work()
    await _wait(engine, seen, _WARM_UP + _ALONE + accepted)
    found = await _run(engine, seen, seconds)
    found |= await _start(engine, seen)
    await engine.close()
    return found | {"alone": alone, "submits": together}


async def _submit_alone(engine: Engine, count: int) -> float:
    begun = time.perf_counter()
    for number in range(count):
        await engine.submit(number, 0)
    return count / (time.perf_counter() - begun)


async def _submit_together(engine: Engine, seconds: float) -> tuple[float, int]:
    """Submissions a second while nothing runs, and how many there were."""
    begun, accepted = time.perf_counter(), 0

    async def submit() -> None:
        nonlocal accepted
        # Enough is enough: what was submitted has to be run before the next figure is taken.
        while time.perf_counter() - begun < seconds and accepted < _MOST_WAITING * 16:
            accepted += 1
            await engine.submit(accepted, 0)

    await asyncio.gather(*(submit() for _ in range(_SUBMITTERS)))
    return accepted / (time.perf_counter() - begun), accepted


async def _run(engine: Engine, seen: Seen, seconds: float) -> dict[str, float]:
    """Runs a second, from the first submission until the last end is stored."""
    before, begun, cpu, accepted = seen.count, time.perf_counter(), time.process_time(), 0

    async def submit() -> None:
        nonlocal accepted
        while time.perf_counter() - begun < seconds:
            if accepted - (seen.count - before) >= _MOST_WAITING:
                await asyncio.sleep(0.001)
                continue
            accepted += 1
            await engine.submit(accepted, 0)

    await asyncio.gather(*(submit() for _ in range(_SUBMITTERS)))
    await _wait(engine, seen, before + accepted)
    took, used = time.perf_counter() - begun, time.process_time() - cpu
    return {"runs": accepted / took, "cpu": used / accepted * 1000}


async def _wait(engine: Engine, seen: Seen, count: int) -> None:
    async with asyncio.timeout(_END_SECONDS):
        while seen.count < count:  # noqa: ASYNC110 - the functions may be in threads
            await asyncio.sleep(0.002)
        while await engine.unfinished():  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.002)


async def _start(engine: Engine, seen: Seen) -> dict[str, float]:
    """Milliseconds from the call of submit to the begin of the function, with nothing else to do."""
    found: list[float] = []
    until = time.perf_counter() + _LONGEST_LATENCY_SECONDS
    for number in range(1_000_000, 1_000_000 + _STARTS):
        if time.perf_counter() > until:
            break
        await asyncio.sleep(0.02)
        called = time.perf_counter()
        await engine.submit(number, 0)
        while number not in seen.at:  # noqa: ASYNC110 - the functions may be in threads
            await asyncio.sleep(0.0005)
        found.append((seen.at[number] - called) * 1000)
    found.sort()
    return {"p50": statistics.median(found), "p99": found[int(len(found) * 0.99) - 1]}


async def _hold(engine: Engine, *, new: bool) -> None:
    """Run jobs until killed: new ones, or those that are there."""
    await engine.open()
    await engine.work()
    if new:
        for number in range(HELD):
            await engine.submit(number, _HELD_SECONDS)
    await asyncio.sleep(_HELD_SECONDS)
