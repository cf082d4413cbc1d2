"""A table in PostgreSQL and eight tasks that work it off with SKIP LOCKED, a commit for each of the three changes of a run."""

import asyncio

import asyncpg

from benchmarks.job_engines.measure import Seen, main

_CONNECTIONS = 8


class RawPostgres:
    """The least that stores runs, starts and ends."""

    def __init__(self, where: str, seen: Seen) -> None:
        self._where = where
        self._seen = seen
        self._arrived = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self._where, min_size=2 * _CONNECTIONS, max_size=2 * _CONNECTIONS
        )
        await self._pool.execute(
            "CREATE TABLE IF NOT EXISTS runs(id BIGSERIAL PRIMARY KEY, number BIGINT, status TEXT, result TEXT)"
        )
        await self._pool.execute("CREATE INDEX IF NOT EXISTS waiting ON runs(id) WHERE status = 'queued'")

    async def work(self) -> None:
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(_CONNECTIONS)]

    async def submit(self, number: int, seconds: float) -> None:
        del seconds
        await self._pool.execute("INSERT INTO runs(number, status) VALUES($1, 'queued')", number)
        self._arrived.set()

    async def unfinished(self) -> int:
        return await self._pool.fetchval("SELECT count(*) FROM runs WHERE status <> 'done'")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _serve(self) -> None:
        while True:
            claimed = await self._pool.fetch(
                "UPDATE runs SET status = 'running' WHERE id = (SELECT id FROM runs WHERE status = 'queued' "
                "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, number"
            )
            for row in claimed:
                self._seen.begun(row["number"])
                await self._pool.execute(
                    "UPDATE runs SET status = 'done', result = $1 WHERE id = $2",
                    str(row["number"]),
                    row["id"],
                )
            if not claimed:
                await self._arrived.wait()
                self._arrived.clear()


if __name__ == "__main__":
    main(RawPostgres)
