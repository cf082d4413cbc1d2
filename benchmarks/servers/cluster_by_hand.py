"""What `benchmarks.ray` compares chutes with: Ray Serve applications of FastAPI, written as Ray's documentation shows it."""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from ray import serve

from benchmarks.servers.payloads import (
    CALL_SECONDS,
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

app = FastAPI()


@serve.deployment(name="by_hand")
@serve.ingress(app)
class ByHand:
    @app.post("/model")
    async def model(self, data: Prompt) -> Answer:
        return answer(data.prompt)

    @app.get("/stream")
    async def stream(self) -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            for token in TOKENS:
                yield b"data: " + to_json({"token": token}) + b"\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.post("/batch")
    async def batch(self, data: Number) -> dict:
        return {"y": await self.double(data.x)}

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_WAIT)
    async def double(self, numbers: list[float]) -> list[float]:
        return await asyncio.to_thread(run_batch, numbers)

    @app.post("/call")
    async def call(self, data: Call) -> str:
        await asyncio.sleep(CALL_SECONDS)
        return os.environ["VERSION"]


application = ByHand.bind()
