"""The chutes that `benchmarks.ray` deploys on a Ray cluster, each beside an application of cluster_by_hand.py."""

import asyncio
import os
from collections.abc import AsyncIterator

from benchmarks.servers.payloads import (
    CALL_SECONDS,
    CONCURRENCY,
    MAX_BATCH,
    MAX_WAIT,
    TOKENS,
    Answer,
    Call,
    Number,
    Prompt,
    answer,
    run_batch,
)
from chutes import Batch, Chute

echo = Chute("benchmarks", "echo", "python:3.11", concurrency=CONCURRENCY)
batch = Chute("benchmarks", "batch", "python:3.11", concurrency=1)
update = Chute(
    "benchmarks", "update", "python:3.11", concurrency=CONCURRENCY, drain_delay=1, shutdown_grace=5
)
# One call at a time, so that a few clients are reason enough for all three.
scale = Chute(
    "benchmarks",
    "scale",
    "python:3.11",
    concurrency=1,
    max_instances=3,
    shutdown_after_seconds=2,
    drain_delay=1,
    shutdown_grace=5,
)


@echo.cord("/model", output_schema=Answer)
async def model(self: Chute, data: Prompt) -> Answer:
    return answer(data.prompt)


@echo.cord("/stream", method="GET", stream=True)
async def stream(self: Chute) -> AsyncIterator[dict]:
    for token in TOKENS:
        yield {"token": token}


@batch.cord("/batch", batch=Batch(max_size=MAX_BATCH, max_wait=MAX_WAIT))
def double(self: Chute, items: list[Number]) -> list[dict]:
    return [{"y": y} for y in run_batch([item.x for item in items])]


@update.cord("/call")
async def call_updated(self: Chute, data: Call) -> str:
    await asyncio.sleep(CALL_SECONDS)
    return os.environ["VERSION"]


@scale.cord("/call")
async def call_scaled(self: Chute, data: Call) -> str:
    await asyncio.sleep(CALL_SECONDS)
    return os.environ["VERSION"]
