"""The runs of a chute's jobs: every change that they go through, as one transaction each."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chutes.errors import KeyConflict
from chutes.jobs import statements as sql
from chutes.jobs.database import Database, Step, dead_workers
from chutes.jobs.files_store import FilesStore
from chutes.jobs.run import Run, Status, new_id
from chutes.jobs.unsettled import accept
from chutes.jobs.webhook import WebhookStatus
from chutes.jobs.webhook_store import WebhookStore

__all__ = ["Ending", "Event", "NewRun", "Store"]

_PURGED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What is submitted.

    Attributes:
        job: name of the job.
        arguments: JSON object.
        max_attempts: attempts that it may have.
        timeout_ms: that one attempt may take; None for no limit.
        priority: higher ones go first.
        delay_ms: before it may begin.
        key: idempotency key.
        webhook: where its end is told.
    """

    job: str
    arguments: str = "{}"
    max_attempts: int = 4
    timeout_ms: int | None = None
    priority: int = 0
    delay_ms: int = 0
    key: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What became of an attempt.

    Attributes:
        status: a final one, or queued for another attempt.
        result: JSON of what the function returned.
        error: why it failed.
        delay_ms: before the next attempt.
        refund: the attempt does not count.
        history: the line about this attempt, empty when it succeeded.
        folder: that holds the attempt's files; None drops them.
        files: JSON of what the folder holds.
    """

    status: Status
    result: str | None = None
    error: str | None = None
    delay_ms: int = 0
    refund: bool = False
    history: str = ""
    folder: str | None = None
    files: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a run.

    Attributes:
        number: grows from one event of a database to the next.
        at: milliseconds since 1970, UTC.
        kind: state, progress or log.
        data: JSON.
    """

    number: int
    at: int
    kind: str
    data: str


class Store:
    """Runs in a database.

    Attributes:
        files: what the runs have left.
        webhooks: where the ends of runs are told.

    Args:
        database: where they are kept.
        worker: name of this process among those that share the database.

    Every method raises `StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database, worker: str) -> None:
        self.worker = worker
        self.database = database
        self.files = FilesStore(database, worker)
        self.webhooks = WebhookStore(database, worker)

    async def open(self) -> None:
        """Connect."""
        await self.database.open(self.worker)

    async def close(self) -> None:
        """Let go."""
        await self.database.close()

    async def insert(self, new: NewRun) -> tuple[Run, bool]:
        """Accept a run, or find the one that has its key; says whether it is new.

        Raises:
            KeyConflict: the key was used with other arguments, or another webhook.
        """
        values = {
            "id": new_id(), "job": new.job, "arguments": new.arguments, "max_attempts": new.max_attempts,
            "timeout_ms": new.timeout_ms, "priority": new.priority, "delay_ms": new.delay_ms, "key": new.key,
            "webhook": new.webhook, "webhook_status": None if new.webhook is None else WebhookStatus.PENDING.value,
        }  # fmt: skip
        steps = [Step(sql.INSERT, values)]
        if new.key is not None:
            steps.append(Step(sql.GET_BY_KEY, {"job": new.job, "key": new.key}))
        inserted, *known = await accept(self.database, str(values["id"]), *steps)
        if inserted:
            return Run.of(inserted[0]), True
        if not known[0]:
            # It was purged between the two statements.
            return await self.insert(new)
        run = Run.of(known[0][0])
        if json.loads(run.arguments) != json.loads(new.arguments):
            raise KeyConflict(
                f"The key {new.key!r} belongs to run {run.id} of job {new.job!r}, which has other arguments. "
                "Choose another key, or send the same arguments."
            )
        if new.webhook != (run.webhook and run.webhook.url):
            raise KeyConflict(
                f"The key {new.key!r} belongs to run {run.id} of job {new.job!r}, which has another webhook. "
                "Choose another key, or send the same webhook."
            )
        return run, False

    async def claim(self, jobs: Iterable[str], count: int) -> list[Run]:
        """Begin the next attempts, at most `count`: the highest priority first, then the longest wait."""
        values = {
            "worker": self.worker, "lease_ms": self.database.lease_ms, "jobs": json.dumps(list(jobs)), "count": count,
        }  # fmt: skip
        (rows,) = await self.database.run(Step(sql.CLAIM, values))
        return sorted(map(Run.of, rows), key=lambda run: (-run.priority, run.run_at, run.id))

    async def next_in(self, jobs: Iterable[str]) -> float | None:
        """Seconds until the next attempt may begin, 0 or less when one may now; None when nothing is queued."""
        (rows,) = await self.database.run(Step(sql.NEXT, {"jobs": json.dumps(list(jobs))}), write=False)
        return rows[0]["wait_ms"] / 1000 if rows else None

    async def finish(self, run: Run, ending: Ending) -> Run | None:
        """End an attempt; None when it is this worker's no longer: then nothing is written."""
        values = {
            "id": run.id, "worker": self.worker, "attempt": run.attempt, "status": ending.status.value,
            "result": ending.result, "error": _storable(ending.error), "delay_ms": ending.delay_ms,
            "refund": int(ending.refund), "history": ending.history, "folder": ending.folder, "files": ending.files,
        }  # fmt: skip
        (rows,) = await self.database.run(Step(sql.FINISH, values))
        return Run.of(rows[0]) if rows else None

    async def recover(self) -> list[Run]:
        """Free the runs of workers that died: queued again, or failed when that was their last attempt."""
        values = {"dead": json.dumps(await dead_workers(self.database, sql.HOLDERS)), "newline": "\n"}
        (rows,) = await self.database.run(Step(sql.RECOVER, values))
        return [Run.of(row) for row in rows]

    async def mine(self) -> dict[tuple[str, int], bool]:
        """Attempts that are this worker's, by run and number, and whether somebody asked for their end."""
        (rows,) = await self.database.run(Step(sql.MINE, {"worker": self.worker}), write=False)
        return {(row["id"], row["attempt"]): bool(row["cancel"]) for row in rows}

    async def progress(self, run: Run, progress: float, note: str | None) -> bool:
        """Note how far an attempt is; says whether somebody asked for its end, or it is this worker's no longer."""
        values = {
            "id": run.id, "worker": self.worker, "attempt": run.attempt, "progress": progress,
            "note": _storable(note),
        }  # fmt: skip
        (rows,) = await self.database.run(Step(sql.PROGRESS, values))
        return not rows or bool(rows[0]["cancel"])

    async def cancel(self, run_id: str) -> Run | None:
        """End a queued run, or ask for the end of a running one; None when it has ended already, or is unknown."""
        (rows,) = await self.database.run(Step(sql.CANCEL, {"id": run_id}))
        return Run.of(rows[0]) if rows else None

    async def retry(self, run_id: str, attempts: int) -> Run | None:
        """Queue a failed or cancelled run once more; None when it is neither, or unknown."""
        (rows,) = await self.database.run(Step(sql.RETRY, {"id": run_id, "attempts": attempts}))
        return Run.of(rows[0]) if rows else None

    async def get(self, run_id: str) -> Run | None:
        """One run."""
        (rows,) = await self.database.run(Step(sql.GET, {"id": run_id}), write=False)
        return Run.of(rows[0]) if rows else None

    async def runs(
        self, job: str | None = None, status: Status | None = None, before: str | None = None, count: int = 50
    ) -> list[Run]:
        """Runs, the newest first, older than the one whose id is `before`."""
        values: dict[str, object] = {"before": before or "~", "count": count}
        text = sql.LIST
        if job is not None:
            text, values = sql.LIST_OF_JOB, values | {"job": job, "status": status and status.value}
        elif status is not None:
            text, values = sql.LIST_OF_STATUS, values | {"status": status.value}
        (rows,) = await self.database.run(Step(text, values), write=False)
        return [Run.of(row) for row in rows]

    async def waiting(self) -> Mapping[tuple[str, Status], int]:
        """How many runs of each job are queued and running."""
        (rows,) = await self.database.run(Step(sql.WAITING), write=False)
        return {(row["job"], Status(row["status"])): row["count"] for row in rows}

    async def purge(self, age_seconds: float, job: str | None = None) -> int:
        """Remove the runs that ended longer ago than that, a few at a time, with their files; returns how many."""
        removed = await self._purge(age_seconds, job)
        await self.files.sweep()
        return removed

    async def _purge(self, age_seconds: float, job: str | None) -> int:
        removed = 0
        values: dict[str, object] = {"age_ms": int(age_seconds * 1000), "count": _PURGED_AT_ONCE}
        old = Step(sql.PURGEABLE, values)
        if job is not None:
            old = Step(sql.PURGEABLE_OF_JOB, values | {"job": job})
        while True:
            (rows,) = await self.database.run(old, write=False)
            if not rows:
                return removed
            ids = {"ids": json.dumps([row["id"] for row in rows])}
            gone, _ = await self.database.run(Step(sql.PURGE, ids), Step(sql.PURGE_EVENTS, ids))
            if not gone:
                # Another process is at the same ones.
                return removed
            removed += len(gone)

    async def begin_schedule(self, job: str, expression: str) -> None:
        """Make a schedule known: it owes no tick from before this moment, nor from before it was changed."""
        await self.database.run(Step(sql.CRON_START, {"job": job, "expression": expression}))

    async def ticks(self) -> Mapping[str, tuple[int, int]]:
        """The last tick of each schedule, and how many were skipped."""
        (rows,) = await self.database.run(Step(sql.CRON), write=False)
        return {row["job"]: (row["last_tick"], row["skipped"]) for row in rows}

    async def fire(self, new: NewRun, tick: int) -> Run | None:
        """Queue the run of a tick; None when another worker did, or the schedule's last run has not ended."""
        run_id = new_id()
        values = {
            "job": new.job, "id": run_id, "tick": tick, "max_attempts": new.max_attempts, "timeout_ms": new.timeout_ms,
            "webhook": new.webhook,
        }  # fmt: skip
        names = {
            sql.CRON_MOVE: ("job", "id", "tick"),
            sql.CRON_INSERT: ("job", "id", "max_attempts", "timeout_ms", "webhook"),
            sql.CRON_SKIPPED: ("job", "id"),
        }
        steps = [Step(text, {name: values[name] for name in wanted}) for text, wanted in names.items()]
        _, inserted, _ = await self.database.run(*steps)
        return Run.of(inserted[0]) if inserted else None

    async def add_events(self, events: Sequence[tuple[str, str, str]]) -> None:
        """Note what happened: run, kind and JSON of each."""
        steps = [
            Step(sql.ADD_EVENT, {"run_id": run, "kind": kind, "data": data}) for run, kind, data in events
        ]
        await self.database.run(*steps)

    async def events(self, run_id: str, after: int = 0, count: int = 200) -> list[Event]:
        """What happened to a run, after the event of that number."""
        values = {"run_id": run_id, "after": after, "count": count}
        (rows,) = await self.database.run(Step(sql.EVENTS, values), write=False)
        return [Event(row["number"], row["at"], row["kind"], row["data"]) for row in rows]


def _storable(text: str | None) -> str | None:
    """The text without what a database cannot keep: what a function says must not hold up the end of its run."""
    if text is None:
        return None
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
