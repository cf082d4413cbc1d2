"""A model that takes as long for many as for one, and remembers what it was given."""

import asyncio
import time

from chutes import Batch, Chute

chute = Chute(username="me", name="batched", image="python:3.11", shutdown_grace=10)


@chute.on_startup()
async def begin(self):
    self.batches = []
    self.cancelled = 0


@chute.cord("/thread", batch=Batch(max_size=16))
def thread(self, text: list[str], seconds: list[float] = 0.01) -> list[str]:
    self.batches.append(list(text))
    time.sleep(max(seconds))
    return [ValueError(one) if one.startswith("bad") else one.upper() for one in text]


@chute.cord("/loop", batch=Batch(max_size=16))
async def loop(self, text: list[str], seconds: list[float] = 0.01) -> list[str]:
    self.batches.append(list(text))
    try:
        await asyncio.sleep(max(seconds))
    except asyncio.CancelledError:
        self.cancelled += 1
        raise
    return [ValueError(one) if one.startswith("bad") else one.upper() for one in text]


@chute.app.get("/record")
async def record():
    return {"batches": chute.batches, "cancelled": chute.cancelled}
