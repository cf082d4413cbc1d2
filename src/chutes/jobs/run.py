"""One run of a job, as the database has it."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from chutes.jobs.files import File, read_files
from chutes.jobs.webhook import Webhook

__all__ = ["FINAL", "Attempt", "Run", "Status", "iso", "new_id"]


class Status(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})


def new_id() -> str:
    """An id whose order is that of time: 64 bits of nanoseconds, so that two of one millisecond differ, then 64 of chance."""
    return f"{time.time_ns():016x}{os.urandom(8).hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that ended without success.

    Attributes:
        number: counted from 1.
        started_at: milliseconds since 1970, UTC.
        finished_at: likewise.
        error: the last lines of its traceback, or a word: interrupted, cancelled, timed out.
    """

    number: int
    started_at: int
    finished_at: int
    error: str

    def line(self) -> str:
        """As it is stored: one line of JSON."""
        return json.dumps([self.number, self.started_at, self.finished_at, self.error]) + "\n"

    @classmethod
    def read(cls, line: str) -> "Attempt":
        """From the line that `line` made."""
        number, started_at, finished_at, error = json.loads(line)
        return cls(number=number, started_at=started_at, finished_at=finished_at, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run; times are milliseconds since 1970, UTC.

    Attributes:
        id: ordered by the time of its submission.
        job: name of the job.
        status: where it stands.
        arguments: JSON object of its arguments.
        result: JSON of what the function returned, once it succeeded.
        error: why the last attempt failed.
        attempt: attempts begun so far.
        max_attempts: attempts that it may have.
        timeout_ms: that one attempt may take; None for no limit.
        priority: higher ones go first.
        run_at: when it may begin.
        worker: who runs it.
        key: idempotency key that it was submitted with.
        cancel: somebody asked for its end.
        progress: share that is done, 0 to 1, as the function says.
        note: what it does, in the function's words.
        history: the attempts that failed.
        scheduled_for: the tick of the job's schedule that it is for.
        created_at: when it was accepted.
        started_at: when its last attempt began.
        finished_at: when it ended.
        folder: where the database has its files.
        files: what it has left.
        webhook: where its end is told; None for nowhere.
    """

    id: str
    job: str
    status: Status
    arguments: str
    result: str | None
    error: str | None
    attempt: int
    max_attempts: int
    timeout_ms: int | None
    priority: int
    run_at: int
    worker: str | None
    key: str | None
    cancel: bool
    progress: float | None
    note: str | None
    history: tuple[Attempt, ...]
    scheduled_for: int | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    folder: str | None = None
    files: tuple[File, ...] = ()
    webhook: Webhook | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Run":
        """From a row of the table."""
        values = {name: row[name] for name in cls.__slots__}
        values["status"] = Status(values["status"])
        values["cancel"] = bool(values["cancel"])
        values["history"] = tuple(map(Attempt.read, values["history"].splitlines()))
        values["files"] = read_files(values["files"])
        values["webhook"] = Webhook.of(row)
        return cls(**values)

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.status in FINAL

    def shown(self) -> dict[str, Any]:
        """As HTTP, the client and the command line show it."""
        return {
            "id": self.id,
            "job": self.job,
            "status": self.status.value,
            "arguments": json.loads(self.arguments),
            "result": None if self.result is None else json.loads(self.result),
            "error": self.error,
            "files": [file.shown() for file in self.files],
            "attempts": self.attempt,
            "max_attempts": self.max_attempts,
            "priority": self.priority,
            "progress": self.progress,
            "note": self.note,
            "key": self.key,
            "cancel_requested": self.cancel,
            "webhook": _shown(self.webhook),
            "scheduled_for": iso(self.scheduled_for),
            "run_at": iso(self.run_at) if self.status is Status.QUEUED else None,
            "created_at": iso(self.created_at),
            "started_at": iso(self.started_at),
            "finished_at": iso(self.finished_at),
            "failed_attempts": [
                {
                    "attempt": one.number,
                    "started_at": iso(one.started_at),
                    "finished_at": iso(one.finished_at),
                    "error": one.error,
                }
                for one in self.history
            ],
        }


def _shown(webhook: Webhook | None) -> dict[str, Any] | None:
    if webhook is None:
        return None
    return {
        "url": webhook.url,
        "status": webhook.status.value,
        "attempts": webhook.attempts,
        "last_error": webhook.last_error,
        "delivered_at": iso(webhook.delivered_at),
    }


def iso(milliseconds: int | None) -> str | None:
    """A moment as ISO 8601 writes it, in UTC."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
