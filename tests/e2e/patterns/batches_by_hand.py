"""Calls that wait in a queue of the user's own, and are answered in batches by a background task."""

import asyncio
import contextlib
import functools

from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="batches-by-hand", image="python:3.11", concurrency=16)


@chute.on_startup()
async def begin(self):
    self.model = Echo()
    self.pending = asyncio.Queue()
    self.most = 8
    asyncio.create_task(self.answer_batches())  # noqa: RUF006 - users write it so


@functools.lru_cache(maxsize=64)
def tidy(self, text):
    return " ".join(text.split())


async def answer_batches(self):
    """Waits for the first call, gathers those that come soon after, and answers them together."""
    while True:
        batch = []
        with contextlib.suppress(asyncio.TimeoutError):
            for _ in range(self.most):
                entry = await asyncio.wait_for(self.pending.get(), timeout=0.05)
                batch.append(entry)
        if not batch:
            continue
        answers = await self.model.answer_many([entry["text"] for entry in batch])
        for entry, answer in zip(batch, answers, strict=True):
            entry["promise"].set_result(answer)


@chute.cord(public_api_path="/ask")
async def ask(self, text: str):
    promise = asyncio.Future()
    await self.pending.put({"text": self.tidy(text), "promise": promise})
    return {"answer": await promise}


@chute.cord(public_api_path="/batches", method="GET")
async def batches(self) -> list[int]:
    """How many texts each batch had."""
    return self.model.batches
