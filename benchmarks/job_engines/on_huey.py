"""Huey on SQLite, with its consumer in threads of the same process."""

import asyncio
import concurrent.futures
import logging
import time

from huey import SqliteHuey

from benchmarks.job_engines.measure import Seen, main

# More threads wait for the one writer that SQLite lets in.
_WORKERS = 8
_SUBMITTERS = 4


class Huey:
    """A consumer that looks for work every 10 ms, every 50 ms when it finds none for long."""

    def __init__(self, where: str, seen: Seen) -> None:
        self._huey = SqliteHuey(filename=where, fsync=True, timeout=30)
        self._threads = concurrent.futures.ThreadPoolExecutor(_SUBMITTERS)
        self._submitted = 0

        def step(number: int, seconds: float) -> int:
            seen.begun(number)
            if seconds:
                time.sleep(seconds)
            return number

        self._step = self._huey.task()(step)

    async def open(self) -> None:
        logging.getLogger("huey").setLevel(logging.WARNING)

    async def work(self) -> None:
        consumer = self._huey.create_consumer(
            workers=_WORKERS, initial_delay=0.01, max_delay=0.05, check_worker_health=False, periodic=False
        )
        consumer.start()

    async def submit(self, number: int, seconds: float) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self._step, number, seconds)
        self._submitted += 1

    async def unfinished(self) -> int:
        return self._submitted - self._huey.result_count()

    async def close(self) -> None:
        self._threads.shutdown()


if __name__ == "__main__":
    main(Huey)
