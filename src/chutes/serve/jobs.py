"""The jobs of a served chute: where their runs are kept, and what runs them."""

import asyncio
import concurrent.futures
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chutes.chute.chute import Chute, definition_of
from chutes.errors import StoreError
from chutes.serve.job_meters import JobMeters
from chutes.settings import Settings

# Most chutes have no jobs: what runs them is imported by those that do.
if TYPE_CHECKING:
    from chutes.jobs.cron import Cron
    from chutes.jobs.database import Database
    from chutes.jobs.deliveries import Deliveries, Sender
    from chutes.jobs.runner import Runner
    from chutes.jobs.service import JobService

__all__ = ["ServedJobs", "database_file", "jobs_database"]

_DEFAULT_JOBS = 4
_PURGE_SECONDS = 3600.0
_MEASURE_SECONDS = 0.5


class ServedJobs:
    """The jobs of one chute in this process; a chute without jobs opens no database.

    Attributes:
        runs_here: this process runs them too; otherwise some other one does.
        meters: what `/metrics` shows of them.
    """

    def __init__(self, chute: Chute, settings: Settings) -> None:
        self.runs_here = True
        self._chute = chute
        self._jobs = definition_of(chute).jobs
        self.meters = JobMeters(self._jobs)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{os.urandom(8).hex()}"
        self._database: Callable[[], Database] = lambda: jobs_database(chute, settings)
        self._service: JobService | None = None
        self._retention = settings.job_retention
        self._files_size = settings.job_files_size
        self._webhooks = settings.webhooks
        self._runner: Runner | None = None
        self._cron: Cron | None = None
        self._deliveries: Deliveries | None = None
        self._purging: asyncio.Task[None] | None = None
        self._logger = logging.getLogger("chutes.jobs")

    @property
    def service(self) -> "JobService":
        """Submits runs and looks them up."""
        if self._service is None:
            from chutes.jobs.service import JobService
            from chutes.jobs.store import Store

            store = Store(self._database(), self._worker)
            self._service = JobService(lambda: self._jobs, store, self._webhooks)
            self._service.ended_waiting.append(self.meters.ended_waiting)
        return self._service

    def keep_in(self, database: "Database") -> None:
        """Keep runs in another database, from the next start on."""
        self._service, self._database = None, lambda: database

    @property
    def max_jobs(self) -> int:
        """Runs at once in this process, at most."""
        config = self._chute.config
        selector = config.node_selector
        has_gpu = selector is not None and selector.gpu_count > 0
        return config.max_jobs or (1 if has_gpu else _DEFAULT_JOBS)

    @property
    def running(self) -> int:
        """Runs that this process is at."""
        return 0 if self._runner is None else self._runner.running

    async def start(self) -> None:
        """Begin to run what is queued, and what schedules bring.

        Raises:
            StoreError: the database cannot be used.
        """
        if not self._jobs:
            return
        self._loop = asyncio.get_running_loop()
        if not self.runs_here:
            return
        from chutes.jobs.cron import Cron
        from chutes.jobs.deliveries import Deliveries
        from chutes.jobs.runner import Runner, RunnerOptions

        await self.service.open()
        # The process does not wait for a thread whose name begins so.
        threads = f"chute-{self._chute.config.name}-jobs"
        options = RunnerOptions(max_jobs=self.max_jobs, thread_name=threads, max_files_size=self._files_size)
        self._runner = Runner(self._chute, self.service, lambda: self._jobs, options)
        self._runner.started.append(self.meters.begun)
        self._runner.finished.append(self.meters.ended)
        self._cron = Cron(self.service, lambda: self._jobs)
        self._deliveries = Deliveries(self.service.store, self._sender)
        self._deliveries.ended.append(self.meters.told)
        self._runner.finished.append(self._deliveries.note)
        self.service.ended_waiting.append(self._deliveries.note)
        self._runner.start()
        self._deliveries.start()
        self._cron.start()
        self._purging = asyncio.create_task(self._purge(), name="remove old runs")

    async def stop(self, grace: float) -> None:
        """Let runs end for `grace` seconds, hand back those that have not, and let go of the database."""
        self._loop = None
        if self._purging is not None:
            self._purging.cancel()
            await asyncio.wait([self._purging])
        if self._cron is not None:
            await self._cron.stop()
        if self._runner is not None:
            await self._runner.stop(grace)
        if self._deliveries is not None:
            await self._deliveries.stop()
            self.service.ended_waiting.remove(self._deliveries.note)
        self._runner = self._cron = self._purging = self._deliveries = None
        if self._service is not None:
            await self._service.close()

    async def measure(self) -> None:
        """Ask the database what `/metrics` shows of it, for half a second at most."""
        if self._loop is None:
            return
        try:
            async with asyncio.timeout(_MEASURE_SECONDS):
                await self.service.open()
                store = self.service.store
                waiting, ticks = await store.waiting(), await store.ticks()
                self.meters.webhooks_waiting = await store.webhooks.waiting()
        except (StoreError, TimeoutError):
            self.meters.waiting = None
            return
        self.meters.waiting = {(job, status.value): count for (job, status), count in waiting.items()}
        self.meters.skipped = {job: skipped for job, (_tick, skipped) in ticks.items()}

    def measure_from_thread(self) -> None:
        """The same beside the event loop; while that is blocked, what is shown is old."""
        loop = self._loop
        if loop is None:
            return
        measuring = self.measure()
        try:
            asyncio.run_coroutine_threadsafe(measuring, loop).result(_MEASURE_SECONDS)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            return
        except RuntimeError:
            # The loop has ended meanwhile.
            measuring.close()

    def _sender(self) -> "Sender":
        # With a client of HTTP in it, which few chutes need.
        from chutes.jobs.webhook_sender import WebhookSender

        return WebhookSender(self._webhooks)

    async def _purge(self) -> None:
        """Remove runs that ended long ago, once an hour."""
        while True:
            try:
                removed = await self.service.store.purge(self._retention)
            except StoreError as error:
                self._logger.warning("Old runs were not removed: %s", error)
            else:
                if removed:
                    self._logger.info("Removed %s runs that ended long ago.", removed)
            await asyncio.sleep(_PURGE_SECONDS)


def jobs_database(chute: Chute, settings: Settings) -> "Database":
    """The database that the settings name."""
    if settings.database_url:
        from chutes.jobs.postgres import Postgres

        # No name of a chute has a slash, so no two chutes share a schema.
        return Postgres(settings.database_url, schema=f"{chute.config.username}/{chute.config.name}")
    from chutes.jobs.sqlite import SQLite

    return SQLite(database_file(chute, settings.home))


def database_file(chute: Chute, home: Path) -> Path:
    """The file that a chute's runs are kept in."""
    return home / "jobs" / f"{chute.config.username}.{chute.config.name}.db"
