"""Robyn with a semaphore for the slots: python -m benchmarks.servers.stress_on_robyn PORT."""

import asyncio
import json
import os
import sys

from robyn import Response, Robyn, SSEResponse

from benchmarks.servers.stress import SLOTS, Progress, work

app = Robyn(__file__)
progress = Progress()
slots = asyncio.Semaphore(SLOTS)


def _json(answer: dict) -> Response:
    return Response(200, {"content-type": "application/json"}, json.dumps(answer))


@app.post("/work")
async def do_work() -> Response:
    async with slots:
        return _json(await work())


@app.post("/call")
async def call() -> Response:
    return _json(await progress.run())


@app.get("/stream")
async def stream():
    return SSEResponse(progress.stream())


if __name__ == "__main__":
    os.environ.setdefault("ROBYN_HOST", "127.0.0.1")
    app.start(host="127.0.0.1", port=int(sys.argv[1]))
