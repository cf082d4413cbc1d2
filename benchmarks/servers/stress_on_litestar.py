"""Litestar, likewise."""

import asyncio

from litestar import Litestar, get, post
from litestar.response import Stream

from benchmarks.servers.stress import SLOTS, Progress, work

progress = Progress()
slots = asyncio.Semaphore(SLOTS)


@post("/work", status_code=200)
async def do_work() -> dict:
    async with slots:
        return await work()


@post("/call", status_code=200)
async def call() -> dict:
    return await progress.run()


@get("/stream")
async def stream() -> Stream:
    return Stream(progress.stream(), media_type="text/event-stream")


app = Litestar([do_work, call, stream])
