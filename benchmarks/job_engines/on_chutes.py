"""The jobs of chutes, on SQLite or PostgreSQL."""

import asyncio
import os
from pathlib import Path

from benchmarks.job_engines.measure import CONCURRENCY, Seen, main
from chutes import Chute
from chutes.chute.chute import definition_of
from chutes.jobs.database import Database
from chutes.jobs.runner import Runner, RunnerOptions
from chutes.jobs.service import JobService
from chutes.jobs.sqlite import SQLite
from chutes.jobs.store import Store


class Chutes:
    """A chute's service and runner, as its server has them."""

    def __init__(self, where: str, seen: Seen) -> None:
        chute = Chute(username="bench", name="bench", image="python:3.11")

        @chute.job()
        async def step(self: Chute, number: int, seconds: float) -> int:
            seen.begun(number)
            if seconds:
                await asyncio.sleep(seconds)
            return number

        jobs = definition_of(chute).jobs
        self._service = JobService(lambda: jobs, Store(database(where), f"worker-{os.getpid()}"))
        self._runner = Runner(chute, self._service, lambda: jobs, RunnerOptions(max_jobs=CONCURRENCY))

    async def open(self) -> None:
        await self._service.open()

    async def work(self) -> None:
        self._runner.start()

    async def submit(self, number: int, seconds: float) -> None:
        await self._service.submit("step", {"number": number, "seconds": seconds})

    async def unfinished(self) -> int:
        return sum((await self._service.store.waiting()).values())

    async def close(self) -> None:
        await self._runner.stop(1)
        await self._service.close()


def database(where: str) -> Database:
    """The database of this address, or path."""
    if not where.startswith("postgresql:"):
        return SQLite(Path(where))
    from chutes.jobs.postgres import Postgres

    return Postgres(where)


if __name__ == "__main__":
    main(Chutes)
