"""Where `chutes jobs` finds runs: at a running chute, or in its database."""

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from chutes.cli.call_items import UsageError
from chutes.cli.remote import DEFAULT_URL, client_for
from chutes.client import JobEvent
from chutes.client.job_calls import JobEvents
from chutes.jobs.events import follow
from chutes.jobs.run import Status
from chutes.jobs.service import JobRun, JobService
from chutes.loading import load
from chutes.serve.jobs import ServedJobs
from chutes.settings import Settings

__all__ = ["JobsSource", "LocalJobs", "LocalRun", "RunSource", "jobs_source"]

T = TypeVar("T")
_TIMEOUT = 60.0


class RunSource(Protocol):
    """One run, wherever it is."""

    id: str
    job: str

    def info(self) -> dict[str, Any]:
        """Everything about it."""

    def cancel(self) -> bool:
        """End it; False when it has ended."""

    def retry(self) -> object:
        """Queue it once more."""

    def events(self) -> Iterator[JobEvent]:
        """What happens to it, to its end."""

    def download(self, path: str, to: str | Path = ".") -> Path:
        """Fetch a file that it has left, into a folder."""


class JobsSource(Protocol):
    """The jobs of a chute and their runs, wherever they are."""

    def describe(self) -> list[dict[str, Any]]:
        """The jobs."""

    def runs(self, job: str, *, status: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Runs of a job, the newest first."""

    def submit_mapping(
        self,
        job: str,
        /,
        arguments: Mapping[str, Any],
        *,
        key: str | None,
        delay: float,
        priority: int,
        webhook: str | None,
    ) -> RunSource:
        """Submit a run."""

    def run(self, run_id: str) -> RunSource:
        """A run by its id."""

    def purge(self, job: str, *, older_than: float) -> int:
        """Remove runs of a job that ended so many seconds ago."""


@contextlib.contextmanager
def jobs_source(url: str | None, key: str | None, app: str | None) -> Iterator[JobsSource]:
    """The jobs of the chute at `url`, or those that the database of the chute file `app` has.

    Raises:
        UsageError: both are given, or the address cannot be.
        LoadError: `app` leads to no chute.
        StoreError: the database cannot be used.
    """
    if app is None:
        with client_for(url or DEFAULT_URL, key, _TIMEOUT) as client:
            yield client.jobs
        return
    if url is not None:
        raise UsageError("Give --url for a running chute, or --app for its database, not both.")
    with contextlib.redirect_stdout(sys.stderr):
        chute = load(app, stand_ins=True).chute
    service = ServedJobs(chute, Settings.from_env()).service
    with asyncio.Runner() as runner:
        local = LocalJobs(service, runner)
        try:
            yield local
        finally:
            local.wait_for(service.close())


class LocalJobs:
    """The jobs of a chute that need not be served: their database is read and written here."""

    def __init__(self, service: JobService, runner: asyncio.Runner) -> None:
        self.service = service
        self._runner = runner

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result."""
        return self._runner.run(coroutine)

    def describe(self) -> list[dict[str, Any]]:
        """See `JobsSource`."""
        return self.service.described()

    def runs(self, job: str, *, status: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """See `JobsSource`."""
        name = self.service.job(job).name
        wanted = None if status is None else Status(status)
        return [run.shown() for run in self.wait_for(self._runs(name, wanted, limit))]

    def submit_mapping(
        self,
        job: str,
        /,
        arguments: Mapping[str, Any],
        *,
        key: str | None,
        delay: float,
        priority: int,
        webhook: str | None,
    ) -> "LocalRun":
        """See `JobsSource`."""
        submitted = self.service.submit(
            job, arguments, key=key, delay=delay, priority=priority, webhook=webhook
        )
        run, _is_new = self.wait_for(submitted)
        return LocalRun(self, run)

    def run(self, run_id: str) -> "LocalRun":
        """See `JobsSource`."""
        return LocalRun(self, self.wait_for(self.service.find(run_id)))

    def purge(self, job: str, *, older_than: float) -> int:
        """See `JobsSource`."""
        return self.wait_for(self._purge(self.service.job(job).name, older_than))

    async def _runs(self, job: str, status: Status | None, limit: int) -> list[Any]:
        return list(await self.service.runs(job, status, None, limit))

    async def _purge(self, job: str, age: float) -> int:
        await self.service.open()
        return await self.service.store.purge(age, job)


class LocalRun:
    """A run in the database."""

    def __init__(self, jobs: LocalJobs, run: JobRun) -> None:
        self.id = run.id
        self.job = run.job
        self._jobs = jobs
        self._run = run

    def info(self) -> dict[str, Any]:
        """See `RunSource`."""
        return self._jobs.wait_for(self._run.info())

    def cancel(self) -> bool:
        """See `RunSource`."""
        return self._jobs.wait_for(self._run.cancel())

    def retry(self) -> None:
        """See `RunSource`.

        Raises:
            UsageError: it has not failed, and was not cancelled.
        """
        if not self._jobs.wait_for(self._run.retry()):
            status = self.info()["status"]
            raise UsageError(
                f"Run {self.id} is {status}; only a failed or cancelled run can be queued again."
            )

    def download(self, path: str, to: str | Path = ".") -> Path:
        """See `RunSource`.

        Raises:
            UsageError: its path leads out of the folder.
        """
        file = self._jobs.wait_for(self._run.file(path))
        try:
            return self._jobs.wait_for(file.save(to))
        except ValueError as exc:
            raise UsageError(str(exc)) from exc

    def events(self) -> Iterator[JobEvent]:
        """See `RunSource`."""
        events, chunks = JobEvents(), follow(self._jobs.service, self._run)

        async def following() -> bytes | None:
            return await anext(chunks, None)

        while (chunk := self._jobs.wait_for(following())) is not None:
            yield from events.feed(chunk)
