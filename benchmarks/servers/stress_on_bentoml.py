"""BentoML with one worker, a semaphore for the slots, and its own limit on the calls that are there."""

import asyncio
from collections.abc import AsyncIterator

import bentoml

from benchmarks.servers.stress import QUEUE, SLOTS, Progress, work


@bentoml.service(
    workers=1,
    traffic={"timeout": 60, "max_concurrency": SLOTS + QUEUE},
    logging={"access": {"enabled": False}},
)
class Stressed:
    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(SLOTS)
        self.progress = Progress()

    @bentoml.api
    async def work(self) -> dict:
        async with self.slots:
            return await work()

    # BentoML keeps the name `call` for itself.
    @bentoml.api(route="/call")
    async def long_call(self) -> dict:
        return await self.progress.run()

    @bentoml.api
    async def stream(self) -> AsyncIterator[str]:
        async for event in self.progress.stream():
            yield event
