"""The jobs of a chute, as one process has them, without a server around them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chutes.chute import Chute
from chutes.chute.chute import definition_of
from chutes.jobs.run import Run
from chutes.jobs.runner import Runner, RunnerOptions
from chutes.jobs.service import JobRun, JobService
from chutes.jobs.sqlite import SQLite
from chutes.jobs.store import Store

QUICK = RunnerOptions(max_jobs=4, backoff_base=0.01, backoff_cap=0.02, patience=0.2)


class Background:
    """A service and a runner over one file; `chute.jobs` submits to it."""

    def __init__(
        self, chute: Chute, path: Path, name: str = "worker", options: RunnerOptions = QUICK
    ) -> None:
        self.chute = chute
        self.service = JobService(lambda: chute.jobs, Store(SQLite(path), name))
        self.runner = Runner(chute, self.service, lambda: chute.jobs, options)
        # What a served chute is, as far as `chute.jobs` asks.
        self.jobs = self.service
        definition_of(chute).running = self

    async def submit(
        self, job: Any, *, key: str | None = None, delay: float = 0.0, priority: int = 0, **arguments: Any
    ) -> JobRun:
        """Submits a run."""
        run, _ = await self.service.submit(job, arguments, key=key, delay=delay, priority=priority)
        return run

    async def done(self, run: JobRun) -> Run:
        """The run, once it has ended."""
        async with asyncio.timeout(30):
            while not (await run.refresh()).is_final:
                await asyncio.sleep(0.005)
        return run.latest


@asynccontextmanager
async def running(
    chute: Chute, path: Path, name: str = "worker", options: RunnerOptions = QUICK, grace: float = 5.0
) -> AsyncIterator[Background]:
    """A background that runs what is submitted."""
    background = Background(chute, path, name, options)
    await background.service.open()
    background.runner.start()
    try:
        yield background
    finally:
        await background.runner.stop(grace)
        await background.service.close()
