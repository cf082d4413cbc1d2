"""A stream of events with all that one may have: names, ids, silence, and an error at its end."""

import asyncio

from fastapi import HTTPException
from fastapi.sse import ServerSentEvent

from chutes import Chute

chute = Chute(username="me", name="ticks", image="python:3.11", sse_keep_alive=0.1)


@chute.cord("/ticks", method="GET", stream=True, output_content_type="text/event-stream")
async def ticks(self):
    await asyncio.sleep(0.5)
    yield {"n": 1}
    yield "two\nlines"
    await asyncio.sleep(0.5)
    yield ServerSentEvent(data={"n": 2}, event="note", id="7")
    raise HTTPException(429, "slow down")
