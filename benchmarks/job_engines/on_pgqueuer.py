"""pgqueuer on PostgreSQL, with a consumer in the same event loop."""

import asyncio
import datetime as dt
import json

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.job_engines.measure import CONCURRENCY, Seen, main

_HEARTBEAT = dt.timedelta(seconds=10)
# Its default of 30 s is also how long it takes to see that a heartbeat stopped.
_LOOK = dt.timedelta(seconds=1)


class Pgqueuer:
    """A connection for the consumer, as its manual has it, and a pool for those who submit."""

    def __init__(self, where: str, seen: Seen) -> None:
        self._where = where
        self._seen = seen

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(self._where, min_size=8, max_size=8)
        self._queries = Queries(AsyncpgPoolDriver(self._pool))
        if not await self._queries.schema_is_installed():
            await self._queries.install()

    async def work(self) -> None:
        self._queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(self._where)))

        @self._queuer.entrypoint("step")
        async def step(job: Job) -> None:
            number, seconds = json.loads(job.payload or b"")
            self._seen.begun(number)
            if seconds:
                await asyncio.sleep(seconds)

        self._task = asyncio.create_task(
            self._queuer.run(
                dequeue_timeout=_LOOK,
                batch_size=CONCURRENCY,
                max_concurrent_tasks=2 * CONCURRENCY,
                heartbeat_timeout=_HEARTBEAT,
            )
        )

    async def submit(self, number: int, seconds: float) -> None:
        await self._queries.enqueue("step", json.dumps([number, seconds]).encode())

    async def unfinished(self) -> int:
        return sum(one.count for one in await self._queries.queue_size())

    async def close(self) -> None:
        self._queuer.shutdown.set()
        self._task.cancel()
        await asyncio.wait([self._task])


if __name__ == "__main__":
    main(Pgqueuer)
