"""DBOS on SQLite or PostgreSQL: a workflow in a queue."""

import asyncio
import logging
import os

from dbos import DBOS

from benchmarks.job_engines.measure import CONCURRENCY, Seen, main

_SEEN: list[Seen] = []
_POLL_SECONDS = float(os.environ.get("DBOS_POLL_SECONDS", "0.05"))


@DBOS.workflow()
async def step(number: int, seconds: float) -> int:
    """One run."""
    _SEEN[0].begun(number)
    if seconds:
        await asyncio.sleep(seconds)
    return number


class Dbos:
    """A queue that is looked at every 50 ms: its default of a second is slower in every figure."""

    def __init__(self, where: str, seen: Seen) -> None:
        _SEEN.append(seen)
        self._url = where if where.startswith("postgresql:") else f"sqlite:///{where}"
        self._handles = []

    async def open(self) -> None:
        # With its defaults, DBOS takes up nothing after a change of the code.
        DBOS(
            config={
                "name": "bench",
                "system_database_url": self._url,
                "application_version": "1",
                "executor_id": "one",
                "log_level": "ERROR",
            }
        )
        logging.getLogger("dbos").setLevel(logging.CRITICAL)

    async def work(self) -> None:
        await self._launch()
        await DBOS.register_queue_async(
            "steps", worker_concurrency=CONCURRENCY, polling_interval_sec=_POLL_SECONDS
        )

    async def submit(self, number: int, seconds: float) -> None:
        await self._launch()
        self._handles.append(await DBOS.enqueue_workflow_async("steps", step, number, seconds))

    async def unfinished(self) -> int:
        while self._handles:
            await self._handles.pop().get_result()
        return 0

    async def close(self) -> None:
        DBOS.destroy(workflow_completion_timeout_sec=0)

    async def _launch(self) -> None:
        if not getattr(self, "_launched", False):
            self._launched = True
            DBOS.launch()


if __name__ == "__main__":
    main(Dbos)
