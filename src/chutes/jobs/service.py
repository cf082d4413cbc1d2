"""The jobs of a running chute: submit, look up, wait, cancel."""

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chutes.chute.job import Job
from chutes.errors import InvalidArguments, JobCancelled, JobFailed, UnknownJob
from chutes.jobs.arguments import Arguments
from chutes.jobs.current import CurrentRun, current_run
from chutes.jobs.files_read import RunFile, run_file
from chutes.jobs.run import Run, Status, iso
from chutes.jobs.store import NewRun, Store
from chutes.jobs.ticks import next_tick
from chutes.settings import WebhookSettings
from chutes.suggestions import did_you_mean

__all__ = ["JobRun", "JobService"]

_LOOK_SECONDS = 1.0
_KEY_LIMIT = 255
_LONGEST_DELAY = 10 * 366 * 86_400
_HIGHEST_PRIORITY = 1_000_000


class JobService:
    """What a chute knows of its jobs and their runs.

    Args:
        jobs: asked for at each use, by name: a chute may get further ones.
        store: where runs are kept; opened on first use.
        webhooks: where the ends of runs may be told, and what signs that.
    """

    def __init__(
        self,
        jobs: Callable[[], Mapping[str, Job]],
        store: Store,
        webhooks: WebhookSettings | None = None,
    ) -> None:
        self.store = store
        self._webhooks = webhooks or WebhookSettings()
        self.wakes: list[Callable[[], None]] = []
        self.ended_waiting: list[Callable[[Run], None]] = []
        self._jobs = jobs
        self._arguments: dict[Callable[..., Any], Arguments] = {}
        self._opening: asyncio.Task[None] | None = None
        self._changed: asyncio.Event | None = None

    @property
    def current(self) -> CurrentRun:
        """The run that the caller is part of.

        Raises:
            LookupError: it is part of none.
        """
        found = current_run.get()
        if found is None:
            raise LookupError(
                "jobs.current is the run of a job: it can be read only inside a job's function."
            )
        return found

    @property
    def is_open(self) -> bool:
        """Whether the database is in use."""
        return self._opening is not None and self._opening.done()

    async def open(self) -> None:
        """Open the database, unless it is open.

        Raises:
            StoreError: it cannot be used.
        """
        if self._opening is None:
            loop = asyncio.get_running_loop()
            self._changed = asyncio.Event()
            self.store.database.changed = lambda: _call_soon(loop, self.changed)
            self._opening = asyncio.create_task(self.store.open(), name="open the jobs database")
        try:
            await asyncio.shield(self._opening)
        except BaseException:
            if self.is_open:
                self._opening = None
            raise

    async def close(self) -> None:
        """Let go of the database."""
        if self._opening is None:
            return
        self._opening = None
        await self.store.close()

    def changed(self) -> None:
        """Something happened to some run: who waits looks again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = asyncio.Event()
        for wake in self.wakes:
            wake()

    async def wait_for_change(self, seconds: float = _LOOK_SECONDS) -> None:
        """Return when something may have happened, or the time is over."""
        changed = self._changed
        if changed is None:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return

    def job(self, name: str | Callable[..., Any]) -> Job:
        """The job of this name, or of this function.

        Raises:
            UnknownJob: there is none.
        """
        jobs = self._jobs()
        if not isinstance(name, str):
            function = getattr(name, "__func__", name)
            found = next((job for job in jobs.values() if job.function is function), None)
            name = getattr(function, "__name__", repr(function))
        else:
            found = jobs.get(name)
        if found is None:
            known = f" The chute has {', '.join(jobs)}." if jobs else " The chute has no jobs."
            raise UnknownJob(f"There is no job {name!r}.{did_you_mean(name, jobs) or known}")
        return found

    def arguments(self, job: Job) -> Arguments:
        """What the job's function takes."""
        found = self._arguments.get(job.function)
        if found is None:
            found = self._arguments[job.function] = Arguments(job)
        return found

    async def submit(
        self,
        name: str | Callable[..., Any],
        arguments: Mapping[str, Any],
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        webhook: str | None = None,
    ) -> tuple["JobRun", bool]:
        """Accept a run; says whether it is new, or the one that has the key already.

        Raises:
            UnknownJob: there is no such job.
            InvalidArguments: the arguments, the key, the delay, the priority or the webhook cannot be.
            KeyConflict: the key was used with other arguments, or another webhook.
            StoreError: it could not be stored.
        """
        job = self.job(name)
        _check_options(key, delay, priority)
        text = self.arguments(job).check(arguments)
        webhook = job.webhook if webhook is None else webhook
        if webhook is not None:
            # Most chutes have no webhooks, and an HTTP client takes time to import.
            from chutes.jobs.webhook_addresses import check_url

            webhook = check_url(webhook, self._webhooks)
        await self.open()
        new = NewRun(
            job=job.name,
            arguments=text,
            max_attempts=1 + job.retry_count,
            timeout_ms=None if job.timeout is None else max(1, int(job.timeout * 1000)),
            priority=priority,
            delay_ms=int(delay * 1000),
            key=key,
            webhook=webhook,
        )
        run, is_new = await self.store.insert(new)
        self.changed()
        return JobRun(self, run), is_new

    async def find(self, run_id: str, job: str | None = None) -> "JobRun":
        """A run by its id.

        Raises:
            UnknownJob: there is none, or it is another job's.
        """
        await self.open()
        run = await self.store.get(run_id)
        if run is None or (job is not None and run.job != job):
            of = f" of job {job!r}" if job else ""
            raise UnknownJob(f"There is no run {run_id!r}{of}. Runs are removed some time after their end.")
        return JobRun(self, run)

    async def runs(
        self,
        job: str | None = None,
        status: Status | None = None,
        before: str | None = None,
        count: int = 50,
    ) -> Sequence[Run]:
        """Runs, the newest first."""
        await self.open()
        return await self.store.runs(job, status, before, count)

    def described(self) -> list[dict[str, Any]]:
        """The jobs as HTTP lists them."""
        now = time.time()
        return [
            {
                "name": job.name,
                "schedule": job.schedule,
                "timezone": job.timezone if job.schedule else None,
                "next_run": iso(next_tick(job, now)),
                "retry_count": job.retry_count,
                "timeout": job.timeout,
                "description": (inspect.getdoc(job.function) or "").partition("\n")[0],
            }
            for job in self._jobs().values()
        ]


class JobRun:
    """One run, from outside.

    Attributes:
        id: of the run.
        job: name of its job.
    """

    def __init__(self, service: JobService, run: Run) -> None:
        self.id = run.id
        self.job = run.job
        self.latest = run
        self._service = service

    async def refresh(self) -> Run:
        """The run as it is now.

        Raises:
            UnknownJob: it was removed.
        """
        await self._service.open()
        run = await self._service.store.get(self.id)
        if run is None:
            raise UnknownJob(f"There is no run {self.id!r} any more.")
        self.latest = run
        return run

    async def status(self) -> Status:
        """queued, running, succeeded, failed or cancelled."""
        return (await self.refresh()).status

    async def info(self) -> dict[str, Any]:
        """Everything about the run, as HTTP shows it."""
        return (await self.refresh()).shown()

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - semantics names it so
        """What the function returned, as JSON keeps it; waits for the run's end.

        Args:
            timeout: seconds to wait; None waits for ever.

        Raises:
            JobFailed: the last attempt failed; the text is its error.
            JobCancelled: the run was cancelled.
            TimeoutError: it has not ended yet; it goes on.
        """
        async with asyncio.timeout(timeout):
            while not (run := await self.refresh()).is_final:
                await self._service.wait_for_change()
        if run.status is Status.FAILED:
            raise JobFailed(f"Run {self.id} of job {self.job!r} failed: {run.error}", self.id)
        if run.status is Status.CANCELLED:
            raise JobCancelled(f"Run {self.id} of job {self.job!r} was cancelled.", self.id)
        return None if run.result is None else json.loads(run.result)

    async def files(self) -> "list[RunFile]":
        """What the run has left, once it has ended: sorted by path, none before.

        Raises:
            UnknownJob: the run was removed.
        """
        run = await self.refresh()
        return [RunFile(self._service.store.files, run, file) for file in run.files]

    async def file(self, path: str) -> "RunFile":
        """The file at `path`, such as `model/weights.bin`.

        Raises:
            UnknownFile: the run has left none there.
            UnknownJob: the run was removed.
        """
        run = await self.refresh()
        return run_file(self._service.store.files, run, path)

    async def cancel(self) -> bool:
        """End the run: at once when it waits, else as soon as its function lets itself be cancelled.

        Returns False when it had ended already.
        """
        await self._service.open()
        cancelled = await self._service.store.cancel(self.id)
        if cancelled is not None and cancelled.is_final:
            for listener in self._service.ended_waiting:
                listener(cancelled)
        self._service.changed()
        return cancelled is not None

    async def retry(self) -> bool:
        """Queue a failed or cancelled run once more, with all its attempts; False when it is neither."""
        await self._service.open()
        job = self._service.job(self.job)
        again = await self._service.store.retry(self.id, 1 + job.retry_count)
        self._service.changed()
        return again is not None

    def __repr__(self) -> str:
        return f"<JobRun {self.id} of {self.job}: {self.latest.status.value}>"


def _check_options(key: object, delay: object, priority: object) -> None:
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= _KEY_LIMIT):
        raise InvalidArguments(f"Invalid key {key!r}. It is a text of 1 to {_KEY_LIMIT} characters.")
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= _LONGEST_DELAY:
        raise InvalidArguments(f"Invalid delay {delay!r}. It is in seconds, from 0 to ten years.")
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > _HIGHEST_PRIORITY:
        raise InvalidArguments(
            f"Invalid priority {priority!r}. It is a whole number; higher ones go first, 0 is the default."
        )


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        # The loop has ended: nobody waits.
        return
