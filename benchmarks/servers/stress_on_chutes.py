"""chutes with a bounded queue, and calls that end with their client."""

from collections.abc import AsyncIterator

from benchmarks.servers.stress import QUEUE, SLOTS, Progress, work
from chutes.chute import Chute

chute = Chute(
    "benchmarks", "stress", "python:3.11", concurrency=SLOTS, max_queue=QUEUE, on_disconnect="cancel"
)
progress = Progress()


@chute.cord("/work")
async def do_work(self: Chute) -> dict:
    return await work()


@chute.cord("/call")
async def call(self: Chute) -> dict:
    return await progress.run()


@chute.cord("/stream", method="GET", stream=True, output_content_type="text/event-stream")
async def stream(self: Chute) -> AsyncIterator[str]:
    async for event in progress.stream():
        yield event
