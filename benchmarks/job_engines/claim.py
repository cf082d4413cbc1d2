"""How long chutes takes to find the next run beside many that have ended: `python -m … DATABASE ROWS`."""

import asyncio
import json
import statistics
import sys
import time

from benchmarks.job_engines.on_chutes import database
from chutes.jobs.database import Step
from chutes.jobs.store import NewRun, Store

_AT_ONCE = 50_000
_CLAIMS = 200
_FILL = """
    INSERT INTO chutes_runs(id, job, status, arguments, attempt, max_attempts, run_at, created_at, started_at, finished_at)
    WITH RECURSIVE numbers(n) AS (SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
    SELECT 'old-' || n, 'step', 'succeeded', '{}', 1, 4, n, n, n, now_ms() FROM numbers
"""


async def claims(where: str, rows: int) -> dict[str, float]:
    """Milliseconds to claim one run, which waits alone."""
    store = Store(database(where), "claims")
    await store.open()
    for first in range(0, rows, _AT_ONCE):
        await store.database.run(Step(_FILL, {"first": first, "last": first + _AT_ONCE - 1}))
    took = []
    for _ in range(_CLAIMS):
        await store.insert(NewRun(job="step"))
        begun = time.perf_counter()
        (run,) = await store.claim(["step"], 1)
        took.append((time.perf_counter() - begun) * 1000)
        await store.cancel(run.id)
    await store.close()
    took.sort()
    return {"p50": statistics.median(took), "p99": took[int(_CLAIMS * 0.99) - 1]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(claims(sys.argv[1], int(sys.argv[2])))))
