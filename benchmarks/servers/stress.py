"""Work for the tables of overload and of clients that leave: it tells when it began, and how far it came."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

SLOTS = 8
WORK_SECONDS = 0.05
QUEUE = int(os.environ.get("QUEUE", "64"))
STEPS = 200
STEP_SECONDS = 0.01


class Progress:
    """The steps of the last call, whoever made it."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def told(self) -> dict:
        return {"steps": self.steps}

    async def run(self) -> dict:
        async for _ in self.stream():
            pass
        return {"ok": True}

    async def stream(self) -> AsyncIterator[str]:
        self.steps = []
        for number in range(STEPS):
            self.steps.append(time.monotonic())
            yield f"data: {number}\n\n"
            await asyncio.sleep(STEP_SECONDS)


async def work() -> dict:
    """A call of a model that serves `SLOTS` calls at once."""
    began = time.monotonic()
    await asyncio.sleep(WORK_SECONDS)
    return {"began": began}
