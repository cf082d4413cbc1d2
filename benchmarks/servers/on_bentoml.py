"""BentoML with one worker."""

import asyncio
import json
from collections.abc import AsyncIterator

import bentoml

from benchmarks.servers.payloads import (
    CONCURRENCY,
    MAX_BATCH,
    SLEEP_SECONDS,
    TOKENS,
    Answer,
    Prompt,
    answer,
    run_batch,
)


@bentoml.service(
    workers=1,
    traffic={"timeout": 60, "max_concurrency": 4 * CONCURRENCY},
    logging={"access": {"enabled": False}},
)
class Benchmark:
    @bentoml.api
    async def model(self, data: Prompt) -> Answer:
        return answer(data.prompt)

    @bentoml.api
    async def sleep(self) -> dict:
        await asyncio.sleep(SLEEP_SECONDS)
        return {"ok": True}

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=1000)
    def batch(self, x: list[float]) -> list[float]:
        return run_batch(x)

    @bentoml.api
    async def stream(self) -> AsyncIterator[str]:
        for token in TOKENS:
            yield "data: " + json.dumps({"token": token}) + "\n\n"
