"""procrastinate on PostgreSQL, with a worker in the same event loop."""

import asyncio

import procrastinate

from benchmarks.job_engines.measure import CONCURRENCY, Seen, main

_HEARTBEAT_SECONDS = 10.0


class Procrastinate:
    """An application of one task; its worker is told of new runs by the database."""

    def __init__(self, where: str, seen: Seen) -> None:
        self._app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=where, min_size=8, max_size=16)
        )

        @self._app.task(name="step")
        async def step(number: int, seconds: float) -> int:
            seen.begun(number)
            if seconds:
                await asyncio.sleep(seconds)
            return number

        self._step = step

    async def open(self) -> None:
        await self._app.open_async()
        rows = await self._app.connector.execute_query_one_async(
            "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"
        )
        if not rows["there"]:
            await self._app.schema_manager.apply_schema_async()

    async def work(self) -> None:
        self._worker = asyncio.create_task(
            self._app.run_worker_async(
                concurrency=CONCURRENCY,
                install_signal_handlers=False,
                stalled_worker_timeout=_HEARTBEAT_SECONDS,
            )
        )

    async def submit(self, number: int, seconds: float) -> None:
        await self._step.defer_async(number=number, seconds=seconds)

    async def unfinished(self) -> int:
        row = await self._app.connector.execute_query_one_async(
            "SELECT count(*) AS count FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        )
        return row["count"]

    async def close(self) -> None:
        self._worker.cancel()
        await asyncio.wait([self._worker])
        await self._app.close_async()


if __name__ == "__main__":
    main(Procrastinate)
