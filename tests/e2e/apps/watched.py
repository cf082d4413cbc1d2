"""Cords that keep a diary of what became of each call, for tests in which clients leave."""

import asyncio
import time

from fastapi.responses import StreamingResponse

from chutes import Chute

chute = Chute(username="me", name="watched", image="python:3.11", concurrency=2, max_queue=8)


@chute.on_startup()
async def begin(self):
    self.diary = []
    self.lock = asyncio.Lock()


def note(self, name, what):
    self.diary.append([name, what, time.monotonic()])


@chute.app.get("/diary")
async def diary(name: str):
    """What was noted of one call, with the moments."""
    return [[what, moment] for noted, what, moment in chute.diary if noted == name]


async def steps(self, name, pause):
    """Many steps with a note at the end, however it comes."""
    try:
        for n in range(1500):
            self.note(name, "step")
            yield n
            await asyncio.sleep(pause)
    finally:
        self.note(name, "closed")


@chute.cord("/events", stream=True)
async def events(self, name: str, pause: float = 0.02):
    async for n in self.steps(name, pause):
        yield {"n": n}


@chute.cord("/text", stream=True)
async def text(self, name: str, pause: float = 0.02):
    async for n in self.steps(name, pause):
        yield f"{n}\n"


@chute.cord("/flood", stream=True)
async def flood(self, name: str):
    """More than any buffer holds, without a pause."""
    try:
        for _ in range(10_000):
            self.note(name, "step")
            yield b"x" * 65536
    finally:
        self.note(name, "closed")


@chute.cord("/greedy", stream=True)
async def greedy(self, name: str):
    """Computes all the time, as a small model on a CPU does."""
    for n in range(600):
        self.note(name, "step")
        time.sleep(0.05)
        yield f"{n}\n"


@chute.cord("/response", stream=True)
async def response(self, name: str, pause: float = 0.02):
    async def lines():
        async for n in self.steps(name, pause):
            yield f"data: {n}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


@chute.cord("/threaded", stream=True)
def threaded(self, name: str, pause: float = 0.02):
    try:
        for n in range(1500):
            self.note(name, "step")
            yield {"n": n}
            time.sleep(pause)
    finally:
        self.note(name, "closed")


@chute.cord("/kept", stream=True, on_disconnect="finish")
async def kept(self, name: str):
    for n in range(20):
        self.note(name, "step")
        yield f"{n}\n"
        await asyncio.sleep(0.02)
    self.note(name, "finished")


@chute.cord("/stillborn", stream=True)
async def stillborn(self, name: str):
    """Nothing comes for a long while: the client leaves before the first chunk."""
    try:
        await asyncio.sleep(30)
        yield "late"
    finally:
        self.note(name, "closed")


async def work(self, name, seconds):
    self.note(name, "begun")
    try:
        await asyncio.sleep(seconds)
        self.note(name, "finished")
    except asyncio.CancelledError:
        self.note(name, "cancelled")
        raise
    return name


@chute.cord("/finishes")
async def finishes(self, name: str, seconds: float = 0.6):
    return await self.work(name, seconds)


@chute.cord("/stops", on_disconnect="cancel")
async def stops(self, name: str, seconds: float = 30.0):
    return await self.work(name, seconds)


@chute.cord("/stubborn", on_disconnect="cancel")
async def stubborn(self, name: str):
    """Goes on for a while after it was cancelled, and keeps its slot so long."""
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        await asyncio.sleep(0.5)
        self.note(name, "cleaned up")
        raise


@chute.cord("/in-thread")
def in_thread(self, name: str, seconds: float = 0.6):
    self.note(name, "begun")
    time.sleep(seconds)
    self.note(name, "finished")
    return name


@chute.cord("/wants-all")
async def wants_all(self, name: str, text: str):
    self.note(name, "begun")
    return len(text)


@chute.cord("/tidy", stream=True)
async def tidy(self, name: str):
    """Takes a while to clean up, as one that gives back what it borrowed."""
    try:
        while True:
            self.note(name, "step")
            yield {"n": 1}
            await asyncio.sleep(0.02)
    finally:
        await asyncio.sleep(0.2)
        self.note(name, "closed")


@chute.cord("/deaf", stream=True)
async def deaf(self, name: str):
    """Swallows its cancellation."""
    try:
        while True:
            self.note(name, "step")
            yield {"n": 1}
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                self.note(name, "swallowed")
    finally:
        self.note(name, "closed")
