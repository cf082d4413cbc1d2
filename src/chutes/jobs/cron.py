"""Queues the runs of schedules: one for each tick, over any number of processes."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from chutes.chute.job import Job
from chutes.errors import StoreError
from chutes.jobs.outage import Outage
from chutes.jobs.service import JobService
from chutes.jobs.store import NewRun
from chutes.jobs.ticks import newest_tick, next_tick

__all__ = ["Cron"]

# A clock that jumps is noticed this soon.
_LONGEST_SLEEP_SECONDS = 10.0
_TROUBLE_SECONDS = 1.0


class Cron:
    """Fires the ticks of a chute's schedules.

    After a time in which nothing ran, the newest of the ticks that were missed fires once. A tick that comes while the run
    of an earlier one has not ended is skipped, and counted.

    Args:
        service: the jobs, and where their runs are kept.
        jobs: asked for at each look, by name.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        service: JobService,
        jobs: Callable[[], Mapping[str, Job]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._service = service
        self._jobs = jobs
        self._clock = clock
        self._known: dict[str, str] = {}
        self._fired: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None
        self._logger = logging.getLogger("chutes.jobs")

    def start(self) -> None:
        """Begin to fire."""
        self._task = asyncio.create_task(self._work(), name="schedules of the jobs")

    async def stop(self) -> None:
        """Fire no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def fire_due(self) -> None:
        """Fire the newest tick of each schedule, where nobody has."""
        for job in self._scheduled():
            await self._introduce(job)
            tick = newest_tick(job, self._clock())
            if tick is None or tick <= self._fired.get(job.name, 0):
                continue
            timeout_ms = None if job.timeout is None else int(job.timeout * 1000)
            attempts = 1 + job.retry_count
            new = NewRun(job=job.name, max_attempts=attempts, timeout_ms=timeout_ms, webhook=job.webhook)
            run = await self._service.store.fire(new, tick)
            self._fired[job.name] = tick
            if run is not None:
                self._service.changed()

    def _scheduled(self) -> list[Job]:
        return [job for job in self._jobs().values() if job.cron is not None]

    async def _introduce(self, job: Job) -> None:
        expression = f"{job.cron} {job.timezone}"
        if self._known.get(job.name) != expression:
            await self._service.store.begin_schedule(job.name, expression)
            self._known[job.name] = expression

    async def _work(self) -> None:
        outage = Outage(self._logger, "Schedules wait until it is back.", "Schedules go on.")
        while True:
            try:
                await self.fire_due()
                wait = self._next_in()
                outage.end()
            except StoreError as error:
                outage.begin(error)
                wait = _TROUBLE_SECONDS
            await asyncio.sleep(wait)

    def _next_in(self) -> float:
        now = self._clock()
        ticks = [tick for job in self._scheduled() if (tick := next_tick(job, now)) is not None]
        return max(0.0, min([_LONGEST_SLEEP_SECONDS, *(tick / 1000 - now for tick in ticks)]))
