"""Streams that make more than any buffer holds, and count what they made."""

import collections
import time

from fastapi.responses import StreamingResponse

from chutes import Chute

chute = Chute(username="me", name="floods", image="python:3.11", concurrency=4)
LINE = b"%09d\n"


@chute.on_startup()
async def begin(self):
    self.made = collections.Counter()


@chute.app.get("/made")
async def made(name: str):
    """How many chunks a stream has made so far."""
    return chute.made[name]


def chunk(self, name, number, repeat):
    self.made[name] += 1
    return LINE % number * repeat


@chute.cord("/async", stream=True)
async def in_the_loop(self, name: str, chunks: int, repeat: int):
    for number in range(chunks):
        yield self.chunk(name, number, repeat)


@chute.cord("/sync", stream=True)
def in_a_thread(self, name: str, chunks: int, repeat: int):
    for number in range(chunks):
        yield self.chunk(name, number, repeat)


@chute.cord("/response", stream=True)
async def response(self, name: str, chunks: int, repeat: int):
    return StreamingResponse(self.chunk(name, number, repeat) for number in range(chunks))


@chute.cord("/sleeps", stream=True)
def sleeps(self, name: str, seconds: float):
    for _ in range(3):
        self.made[name] += 1
        yield {"n": self.made[name]}
        time.sleep(seconds)


@chute.cord("/quick")
async def quick(self):
    return "ok"


@chute.cord("/limited", stream=True, timeout=1)
async def limited(self, name: str):
    try:
        while True:
            yield self.chunk(name, 0, 6500)
    finally:
        self.made[name] = -1
