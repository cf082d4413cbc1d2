"""The webhooks of runs in the database: which are due, who is at them, what became of them.

A run that has ended, and whose webhook is pending, is a delivery that somebody has to make: the end of the run and the
beginning of the delivery are one change.
"""

import json

from chutes.jobs.database import Database, Step, dead_workers
from chutes.jobs.run import Run
from chutes.jobs.webhook import WebhookStatus

__all__ = ["WebhookStore"]

# Longer than an attempt can take.
_LEASE_MS = 60_000

DELIVERING = "SELECT DISTINCT webhook_worker AS worker FROM chutes_runs WHERE webhook_worker IS NOT NULL"

NEXT = """
    SELECT webhook_due - now_ms() AS wait_ms FROM chutes_runs
    WHERE webhook_status = 'pending' AND finished_at IS NOT NULL AND webhook_worker IS NULL
    ORDER BY webhook_due, id LIMIT 1
"""

CLAIM = """
    WITH due AS MATERIALIZED (
        SELECT id FROM chutes_runs
        WHERE webhook_status = 'pending' AND finished_at IS NOT NULL AND webhook_worker IS NULL AND webhook_due <= now_ms()
        ORDER BY webhook_due, id LIMIT :count {lock})
    UPDATE chutes_runs SET webhook_worker = :worker, webhook_attempts = webhook_attempts + 1,
        webhook_due = now_ms() + :lease_ms
    WHERE id IN (SELECT id FROM due)
        AND webhook_status = 'pending' AND finished_at IS NOT NULL AND webhook_worker IS NULL
    RETURNING *
"""

# A run that was queued once more meanwhile has another end to tell.
SETTLE = """
    UPDATE chutes_runs SET webhook_status = CAST(:status AS TEXT), webhook_error = CAST(:error AS TEXT), webhook_worker = NULL,
        webhook_due = now_ms() + :delay_ms, webhook_attempts = webhook_attempts - :refund,
        webhook_delivered_at = CASE WHEN CAST(:status AS TEXT) = 'delivered' THEN now_ms() END
    WHERE id = :id AND webhook_worker = :worker AND webhook_attempts = :attempt AND finished_at = :finished_at
    RETURNING *
"""

HOLDERS = "SELECT DISTINCT webhook_worker AS worker FROM chutes_runs WHERE webhook_worker IS NOT NULL"

RECOVER = """
    WITH lost AS MATERIALIZED (
        SELECT id FROM chutes_runs
        WHERE webhook_worker IS NOT NULL AND (
            webhook_due <= now_ms() OR webhook_worker IN (elements(:dead))) {lock})
    UPDATE chutes_runs SET webhook_error = 'interrupted', webhook_worker = NULL, webhook_due = now_ms(),
        webhook_status = CASE WHEN webhook_attempts < CAST(:attempts AS BIGINT) THEN 'pending' ELSE 'failed' END
    WHERE id IN (SELECT id FROM lost) AND webhook_worker IS NOT NULL
    RETURNING *
"""

# ORDER BY leads SQLite to the index that holds nothing else.
WAITING = """
    SELECT COUNT(*) AS count FROM (
        SELECT 1 AS one FROM chutes_runs
        WHERE webhook_status = 'pending' AND finished_at IS NOT NULL AND webhook_worker IS NULL
        ORDER BY webhook_due, id LIMIT 1000000000) AS due
"""


class WebhookStore:
    """Deliveries in a database.

    Args:
        database: where they are kept, beside the runs.
        worker: name of this process among those that share the database.

    Every method raises `StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker

    async def look(self) -> tuple[bool, float | None]:
        """Whether somebody is at a delivery, and the seconds until the next one is due, 0 or less when one is now."""
        delivering, due = await self._database.run(Step(DELIVERING), Step(NEXT), write=False)
        return bool(delivering), due[0]["wait_ms"] / 1000 if due else None

    async def claim(self, count: int) -> list[Run]:
        """Begin the attempts that are due, at most `count`."""
        values = {"worker": self._worker, "lease_ms": _LEASE_MS, "count": count}
        (rows,) = await self._database.run(Step(CLAIM, values))
        return [Run.of(row) for row in rows]

    async def delivered(self, run: Run) -> Run | None:
        """The receiver took it; None when the attempt was this worker's no longer: then nothing is written."""
        return await self._settle(run, WebhookStatus.DELIVERED)

    async def failed(self, run: Run, error: str, delay_ms: int | None) -> Run | None:
        """The attempt failed, and is followed by another after `delay_ms`, or by none; None as for `delivered`."""
        status = WebhookStatus.FAILED if delay_ms is None else WebhookStatus.PENDING
        return await self._settle(run, status, error=error, delay_ms=delay_ms or 0)

    async def hand_back(self, run: Run) -> Run | None:
        """The attempt was broken off, and does not count; None as for `delivered`."""
        error = None if run.webhook is None else run.webhook.last_error
        return await self._settle(run, WebhookStatus.PENDING, error=error, refund=1)

    async def recover(self, attempts: int) -> list[Run]:
        """Free what workers that died were at: due again, or failed after so many attempts."""
        values = {"dead": json.dumps(await dead_workers(self._database, HOLDERS)), "attempts": attempts}
        (rows,) = await self._database.run(Step(RECOVER, values))
        return [Run.of(row) for row in rows]

    async def waiting(self) -> int:
        """How many are to be delivered, now or later."""
        (rows,) = await self._database.run(Step(WAITING), write=False)
        return int(rows[0]["count"])

    async def _settle(
        self, run: Run, status: WebhookStatus, *, error: str | None = None, delay_ms: int = 0, refund: int = 0
    ) -> Run | None:
        values = {
            "id": run.id, "worker": self._worker, "finished_at": run.finished_at, "status": status.value, "error": error,
            "delay_ms": delay_ms, "refund": refund, "attempt": run.webhook.attempts if run.webhook else 0,
        }  # fmt: skip
        (rows,) = await self._database.run(Step(SETTLE, values))
        return Run.of(rows[0]) if rows else None
