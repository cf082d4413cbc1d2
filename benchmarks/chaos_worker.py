"""A process that submits and runs jobs, and may be killed: `python -m benchmarks.chaos_worker DATABASE FOLDER [--jumping]`."""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from chutes import Chute
from chutes.chute.chute import definition_of
from chutes.errors import StoreError
from chutes.jobs.database import Database
from chutes.jobs.run import Run, Status
from chutes.jobs.runner import Runner, RunnerOptions
from chutes.jobs.service import JobService
from chutes.jobs.sqlite import SQLite, wall_clock
from chutes.jobs.store import Store

__all__ = ["RETRIES", "database"]

RETRIES = 3
_SUBMITTERS = 4
# From a function that ends at once to one that spends its time waiting for others.
_DURATIONS = (0, 0.01, 0.1)
_PAUSE_SECONDS = 0.005
_JUMP_EVERY_SECONDS = 0.5
_LONGEST_JUMP_MS = 3_600_000


class JumpingClock:
    """A clock that somebody sets, an hour ahead or back at most."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offset = 0
        self._due = time.monotonic()

    def __call__(self) -> int:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + _JUMP_EVERY_SECONDS
            self._offset = random.randint(-_LONGEST_JUMP_MS, _LONGEST_JUMP_MS)
            if (self._folder / "stop").exists():
                # What was queued for a time to come can be done in the end.
                self._offset = _LONGEST_JUMP_MS
            note(self._folder / "troubles", str(self._offset))
        return wall_clock() + self._offset


def database(where: str, folder: Path | None = None) -> Database:
    """The database of this name: a PostgreSQL address, or the path of an SQLite file.

    Args:
        where: its name.
        folder: given where the clock jumps.
    """
    if where.startswith("postgres"):
        from chutes.jobs.postgres import Postgres

        return Postgres(where)
    return SQLite(Path(where)) if folder is None else SQLite(Path(where), clock=JumpingClock(folder))


def note(file: Path, line: str) -> None:
    """Append a line in one write, so that a kill leaves it whole or not there at all."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


async def work(where: str, folder: Path, *, jumping: bool) -> None:
    """Submit until a file says stop, run whatever is there until another one says that it is over."""
    chute = Chute(username="chaos", name="chaos", image="python:3.11")

    @chute.job(retry_count=RETRIES)
    async def step(self: Chute, seconds: float) -> str:
        await asyncio.sleep(seconds)
        note(folder / "ended", self.jobs.current.id)
        return "done"

    jobs = definition_of(chute).jobs
    store = Store(database(where, folder if jumping else None), f"{os.getpid()}-{time.time_ns()}")
    service = JobService(lambda: jobs, store)
    runner = Runner(chute, service, lambda: jobs, RunnerOptions(max_jobs=8, backoff_cap=0.5))
    runner.finished.append(lambda run: _recorded(run, folder))
    definition_of(chute).running = _Served(service)  # type: ignore[assignment] # as much of it as `chute.jobs` asks for
    while not service.is_open:
        try:
            await service.open()
        except StoreError:
            await asyncio.sleep(0.2)
    runner.start()
    await asyncio.gather(*(_submit(service, folder) for _ in range(_SUBMITTERS)))
    while not (folder / "over").exists():  # noqa: ASYNC110 - another process says so
        await asyncio.sleep(0.1)
    await runner.stop(5)
    await service.close()


async def _submit(service: JobService, folder: Path) -> None:
    while not (folder / "stop").exists():
        try:
            run, _ = await service.submit("step", {"seconds": random.choice(_DURATIONS)})
        except StoreError as error:
            note(folder / "refused", str(error).replace("\n", " "))
            await asyncio.sleep(0.1)
            continue
        note(folder / "accepted", run.id)
        await asyncio.sleep(_PAUSE_SECONDS)


def _recorded(run: Run, folder: Path) -> None:
    if run.status is Status.SUCCEEDED:
        note(folder / "recorded", run.id)


class _Served:
    """What a chute that runs is, as far as `chute.jobs` asks."""

    def __init__(self, service: JobService) -> None:
        self.jobs = service


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), jumping="--jumping" in sys.argv))
