"""FastAPI with a semaphore for the slots, as its users write it: those who wait are not counted."""

import asyncio

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from benchmarks.servers.stress import SLOTS, Progress, work

app = FastAPI()
progress = Progress()
slots = asyncio.Semaphore(SLOTS)


@app.post("/work")
async def do_work() -> dict:
    async with slots:
        return await work()


@app.post("/call")
async def call() -> dict:
    return await progress.run()


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(progress.stream(), media_type="text/event-stream")
