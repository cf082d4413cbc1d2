"""Takes runs from the store and calls their functions, as many at once as it may."""

import asyncio
import contextvars
import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from chutes.chute.job import Job
from chutes.errors import InvalidArguments, StoreError
from chutes.jobs.attempts import Backoff, Execution, ending_of, failed
from chutes.jobs.current import CurrentRun, current_run
from chutes.jobs.files_kept import FilesKeeper, FilesNotKept
from chutes.jobs.folders import OUTPUT_DIR, Directories, Directory, remove_left_over
from chutes.jobs.logs import RunLog
from chutes.jobs.outage import Outage
from chutes.jobs.run import Run, Status
from chutes.jobs.service import JobService
from chutes.jobs.store import Ending

__all__ = ["Runner", "RunnerOptions"]

_LOOK_SECONDS = 1.0
_TROUBLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How runs are run.

    Attributes:
        max_jobs: runs at once, at most.
        backoff_base: seconds: the first retry waits up to so long, each further one up to twice as long as that before.
        backoff_cap: seconds that a retry waits, at most.
        patience: seconds that a cancelled function gets to clean up.
        max_files_size: bytes of a run's files, at most.
        thread_name: with which the names of threads begin.
    """

    max_jobs: int = 4
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
    patience: float = 5.0
    max_files_size: int = 256 * 1024 * 1024
    thread_name: str = "chutes-job"


class Runner:
    """Runs the jobs of one chute in this process.

    Args:
        chute: the first argument of every function.
        service: the jobs, and where their runs are kept.
        jobs: asked for at each look, by name.
        options: how runs are run.
    """

    def __init__(
        self,
        chute: object,
        service: JobService,
        jobs: Callable[[], Mapping[str, Job]],
        options: RunnerOptions | None = None,
    ) -> None:
        self.options = options or RunnerOptions()
        self.started: list[Callable[[Run], None]] = []
        self.finished: list[Callable[[Run], None]] = []
        self._chute = chute
        self._service = service
        self._backoff = Backoff(base=self.options.backoff_base, cap=self.options.backoff_cap)
        self._jobs = jobs
        self._executions: dict[str, Execution] = {}
        self._abandoned: set[asyncio.Future[Any]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._had_trouble = False
        self._loop_task: asyncio.Task[None] | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._keeper = FilesKeeper(service.store.files, self.options.max_files_size)
        self._directories = Directories()
        self._log = RunLog()
        self._logger = logging.getLogger("chutes.jobs")
        self._outage = Outage(self._logger, "Jobs wait until it is back.", "Jobs go on.")

    @property
    def running(self) -> int:
        """Attempts that run here now, those of abandoned threads included."""
        return len(self._executions) + len(self._abandoned)

    def start(self) -> None:
        """Begin to take runs."""
        # Nothing waits for it, however much it is.
        threading.Thread(target=remove_left_over, name="remove old directories", daemon=True).start()
        self._service.wakes.append(self._wake.set)
        logging.getLogger().addHandler(self._log)
        self._loop_task = asyncio.create_task(self._work(), name="run the jobs")

    async def stop(self, grace: float) -> None:
        """Take no more runs; those that are not done within `grace` seconds go back into the queue, uncounted."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is not None:
            # A database that answers nothing must not hold the process.
            await asyncio.wait([self._loop_task], timeout=_TROUBLE_SECONDS)
            self._loop_task.cancel()
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=grace)
        for execution in list(self._executions.values()):
            execution.end("shutdown")
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=self.options.patience + _TROUBLE_SECONDS)
        self._service.wakes.remove(self._wake.set)
        logging.getLogger().removeHandler(self._log)
        await asyncio.to_thread(self._directories.close)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _tasks(self) -> list["asyncio.Task[None]"]:
        return [one.task for one in self._executions.values() if one.task is not None]

    async def _work(self) -> None:
        looked = float("-inf")
        while not self._stopping:
            self._wake.clear()
            wait = _LOOK_SECONDS
            try:
                is_due = time.monotonic() - looked >= _LOOK_SECONDS
                if is_due:
                    looked = time.monotonic()
                    await self._look_around()
                elif self._executions:
                    await self._obey()
                wait = await self._take(whatever=is_due)
                self._outage.end()
            except StoreError as error:
                self._had_trouble = True
                self._outage.begin(error)
                wait = _TROUBLE_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _look_around(self) -> None:
        """Free what dead workers left, and see whether our own runs are still ours."""
        lost = await self._service.store.recover()
        for run in lost:
            self._logger.warning(
                "Attempt %s of run %s of job %r was interrupted: it is %s now.",
                run.attempt, run.id, run.job, run.status.value,
            )  # fmt: skip
            self._tell(run)
        if lost:
            await self._service.store.files.sweep()
        await self._obey()
        for execution in list(self._executions.values()):
            await self._keep_lines(execution)

    async def _obey(self) -> None:
        """Stop what somebody wants stopped, and what another worker has taken over."""
        if not self._executions and not self._had_trouble:
            return
        mine = await self._service.store.mine()
        for execution in list(self._executions.values()):
            cancel = mine.get((execution.run.id, execution.run.attempt))
            if cancel is None:
                execution.end("lost")
            elif cancel:
                execution.end("cancelled")
        if self._had_trouble:
            await self._hand_back(mine)

    async def _hand_back(self, mine: Mapping[tuple[str, int], bool]) -> None:
        """Queue again what a claim took whose answer never came: our own lease would keep it from everybody for ever."""
        for run_id, attempt in mine:
            run = None if run_id in self._executions else await self._service.store.get(run_id)
            if run is not None and run.status is Status.RUNNING and run.attempt == attempt:
                ending = Ending(status=Status.QUEUED, error="handed back", refund=True)
                await self._service.store.finish(run, ending)
        self._had_trouble = False

    async def _take(self, *, whatever: bool) -> float:
        """Begin what may begin; returns the seconds after which to look again.

        Args:
            whatever: claim in any case where runs wait: after a clock was set back, a later one may begin before the next one.
        """
        names = list(self._jobs())
        free = self.options.max_jobs - self.running
        if not names or free <= 0:
            return _LOOK_SECONDS
        wait = await self._service.store.next_in(names)
        if wait is None:
            return _LOOK_SECONDS
        if wait > 0 and not whatever:
            return min(wait, _LOOK_SECONDS)
        for run in await self._service.store.claim(names, free):
            self._begin(run)
        if self.running >= self.options.max_jobs:
            return _LOOK_SECONDS
        return min(max(wait, 0.0), _LOOK_SECONDS)

    def _begin(self, run: Run) -> None:
        loop = asyncio.get_running_loop()
        directory = Directory(self._directories, run.job)
        current = CurrentRun(run, self._note, loop, directory)
        in_thread = not inspect.iscoroutinefunction(inspect.unwrap(self._jobs()[run.job].function))
        execution = Execution(run, loop.create_future(), current, directory, in_thread)
        self._executions[run.id] = execution
        execution.task = loop.create_task(self._execute(execution), name=f"run {run.id} of {run.job}")
        for listener in self.started:
            listener(run)
        self._service.changed()

    async def _note(self, run: Run, share: float, text: str | None) -> bool:
        """Store how far an attempt is; says whether it should end."""
        try:
            unwanted = await self._service.store.progress(run, share, text)
        except StoreError as error:
            # The work itself goes on, and its end will be stored.
            self._logger.warning("The progress of run %s was not stored: %s", run.id, error)
            return False
        self._service.changed()
        return unwanted

    async def _execute(self, execution: Execution) -> None:
        run = execution.run
        try:
            ending = await self._keep_files(execution, await self._attempt(execution))
            await self._keep_lines(execution)
            if execution.directory.made is not None and not execution.abandoned:
                await asyncio.to_thread(execution.directory.remove)
            if ending is not None:
                await self._store(run, ending)
        finally:
            del self._executions[run.id]
            self._service.changed()

    async def _attempt(self, execution: Execution) -> Ending | None:
        """Call the function; None when the run is another worker's by now."""
        run, job = execution.run, self._jobs()[execution.run.job]
        try:
            positional, named = self._service.arguments(job).read(run.arguments)
        except InvalidArguments as error:
            return failed(execution, str(error), self._backoff, final=True)
        context = contextvars.copy_context()
        context.run(current_run.set, execution.current)
        call: asyncio.Future[Any] = asyncio.get_running_loop().create_task(
            self._call(execution, job, positional, named), context=context
        )
        limit = None if run.timeout_ms is None else run.timeout_ms / 1000
        await asyncio.wait([call, execution.stop], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        reason = "" if call.done() else execution.stop.result() if execution.stop.done() else "timed out"
        if not call.done():
            execution.current.cancelled = True
            call.cancel()
            # A thread cannot be stopped: to wait for it is to hope that it looks whether it was cancelled.
            patience = self.options.patience
            await asyncio.wait([call], timeout=min(patience, 1.0) if reason == "shutdown" else patience)
        if not call.done():
            self._abandon(execution, call, reason)
        return ending_of(execution, call, reason, self._backoff)

    async def _call(
        self, execution: Execution, job: Job, positional: list[Any], named: dict[str, Any]
    ) -> Any:
        if not self._service.arguments(job).takes_folder:
            return await self._run(execution, job, positional, named)
        folder = await asyncio.to_thread(execution.directory.path)
        return await self._run(execution, job, positional, named | {OUTPUT_DIR: str(folder)})

    async def _run(self, execution: Execution, job: Job, positional: list[Any], named: dict[str, Any]) -> Any:
        if not execution.in_thread:
            return await job.function(self._chute, *positional, **named)
        if self._pool is None:
            options = self.options
            self._pool = ThreadPoolExecutor(options.max_jobs, thread_name_prefix=options.thread_name)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        thread = loop.run_in_executor(
            self._pool, lambda: context.run(job.function, self._chute, *positional, **named)
        )
        try:
            result = await asyncio.shield(thread)
        except asyncio.CancelledError:
            await asyncio.wait([thread])
            if not thread.cancelled() and thread.exception() is None:
                return thread.result()
            raise
        return await result if inspect.isawaitable(result) else result

    async def _store(self, run: Run, ending: Ending) -> None:
        """Write what became of an attempt; while the database is away, again and again."""
        unsettled = False
        while True:
            try:
                stored = await self._service.store.finish(run, ending)
                if stored is None and unsettled:
                    # Perhaps it was stored, and the answer did not come.
                    stored = await self._stored_before(run, ending)
                break
            except StoreError as error:
                unsettled = True
                if self._stopping:
                    text = "The end of run %s of job %r was not stored: %s"
                    self._logger.error(text, run.id, run.job, error)  # noqa: TRY400 - the text says it all
                    return
                await asyncio.sleep(_TROUBLE_SECONDS)
        if stored is None:
            self._logger.warning("The end of run %s of job %r came too late; it is lost.", run.id, run.job)
            return
        self._tell(stored)
        if stored.status is Status.FAILED:
            self._logger.error("Run %s of job %r failed: %s", run.id, run.job, stored.error)
        elif stored.status is Status.QUEUED and not ending.refund:
            self._logger.warning(
                "Attempt %s of run %s of job %r failed, and is tried again: %s",
                run.attempt, run.id, run.job, (stored.error or "").strip().rpartition("\n")[2],
            )  # fmt: skip

    async def _stored_before(self, run: Run, ending: Ending) -> Run | None:
        """The run, if its end is this very one."""
        found = await self._service.store.get(run.id)
        if found is None or (found.status, found.result) != (ending.status, ending.result):
            return None
        return found if found.attempt == run.attempt - ending.refund else None

    async def _keep_files(self, execution: Execution, ending: Ending | None) -> Ending | None:
        """The ending with the files of an attempt that is the last; None when the run is another worker's by now."""
        root = execution.directory.made if self._jobs()[execution.run.job].upload else None
        if ending is None or ending.status is Status.QUEUED or execution.abandoned or root is None:
            return ending
        try:
            kept = await self._keeper.keep(execution.run, root)
        except FilesNotKept as error:
            if ending.status is Status.SUCCEEDED:
                return failed(execution, str(error), self._backoff, final=error.final)
            # That it failed, or was cancelled, says more.
            execution.current.add_line("warning", str(error))
            return ending
        if kept is None:
            self._logger.warning(
                "Run %s of job %r is another worker's by now.", execution.run.id, execution.run.job
            )
            return None
        if kept.left_out:
            execution.current.add_line("warning", kept.left_out)
        return replace(ending, folder=kept.folder, files=kept.files)

    async def _keep_lines(self, execution: Execution) -> None:
        """Store what the function logged; lines that cannot be stored are no reason to lose the run."""
        lines = execution.current.lines
        if not lines:
            return
        events = [(execution.run.id, "log", lines.popleft()) for _ in range(len(lines))]
        try:
            await self._service.store.add_events(events)
        except StoreError as error:
            self._logger.warning(
                "%s lines of run %s were not stored: %s", len(events), execution.run.id, error
            )
        self._service.changed()

    def _tell(self, run: Run) -> None:
        for listener in self.finished:
            listener(run)

    def _abandon(self, execution: Execution, call: "asyncio.Future[Any]", reason: str) -> None:
        """Leave a call to itself that does not end; it keeps its place until it does."""
        self._abandoned.add(call)
        execution.abandoned = True
        run = execution.run
        self._logger.warning(
            "Attempt %s of run %s of job %r was %s, but its code goes on.",
            run.attempt,
            run.id,
            run.job,
            reason,
        )

        def ended(done: "asyncio.Future[Any]") -> None:
            self._abandoned.discard(done)
            self._wake.set()
            if not done.cancelled():
                done.exception()
            threading.Thread(
                target=execution.directory.remove, name="remove a directory", daemon=True
            ).start()

        call.add_done_callback(ended)
