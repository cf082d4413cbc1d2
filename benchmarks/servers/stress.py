"""Work for the tables of overload and of clients that leave: it tells when it began, and how far it came."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

SLOTS = 8
WORK_SECONDS = 0.05
QUEUE = int(os.environ.get("QUEUE", "64"))
STEPS = 200
STEP_SECONDS = 0.01


class Progress:
    """The steps of the last call, whoever made it: in a file, as some servers work in a process of their own."""

    def steps(self) -> Iterator[int]:
        with Path(os.environ["PROGRESS"]).open("w") as file:
            for number in range(STEPS):
                file.write(f"{time.monotonic()}\n")
                file.flush()
                yield number

    async def run(self) -> dict:
        async for _ in self.stream():
            pass
        return {"ok": True}

    async def stream(self) -> AsyncIterator[str]:
        for number in self.steps():
            yield f"data: {number}\n\n"
            await asyncio.sleep(STEP_SECONDS)

    def run_in_thread(self) -> dict:
        for _ in self.stream_in_thread():
            pass
        return {"ok": True}

    def stream_in_thread(self) -> Iterator[str]:
        for number in self.steps():
            yield f"data: {number}\n\n"
            time.sleep(STEP_SECONDS)


async def work() -> dict:
    """A call of a model that serves `SLOTS` calls at once."""
    began = time.monotonic()
    await asyncio.sleep(WORK_SECONDS)
    return {"began": began}


def work_in_thread() -> dict:
    """The same, for servers that give each call a process or a thread."""
    began = time.monotonic()
    time.sleep(WORK_SECONDS)
    return {"began": began}
