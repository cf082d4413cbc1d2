"""Ray Serve with one replica: python -m benchmarks.servers.on_ray WORKLOAD PORT."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import StreamingResponse

from benchmarks.servers.payloads import (
    CONCURRENCY,
    MAX_BATCH,
    MAX_WAIT,
    SLEEP_SECONDS,
    TOKENS,
    Prompt,
    answer,
    run_batch,
)


@serve.deployment(num_replicas=1, max_ongoing_requests=2 * CONCURRENCY, ray_actor_options={"num_cpus": 0})
class Benchmark:
    def __init__(self, workload: str) -> None:
        self.answer = getattr(self, workload)

    async def __call__(self, request: Request) -> object:
        return await self.answer(request)

    async def model(self, request: Request) -> dict:
        return answer(Prompt.model_validate_json(await request.body()).prompt).model_dump()

    async def sleep(self, request: Request) -> dict:
        await asyncio.sleep(SLEEP_SECONDS)
        return {"ok": True}

    async def batch(self, request: Request) -> dict:
        return {"y": await self.double((await request.json())["x"])}

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT)
    async def double(self, numbers: list[float]) -> list[float]:
        return await asyncio.to_thread(run_batch, numbers)

    async def stream(self, request: Request) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            for token in TOKENS:
                yield "data: " + json.dumps({"token": token}) + "\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[2])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Benchmark.bind(sys.argv[1]), name="benchmark", route_prefix="/")
    while True:
        time.sleep(60)
