"""Two slots and three places to wait, with a record of who ran when."""

import asyncio
import threading
import time

from fastapi import WebSocket

from chutes import Chute

chute = Chute(username="me", name="small", image="python:3.11", concurrency=2, max_queue=3)


@chute.on_startup()
async def begin(self):
    self.guard = threading.Lock()
    self.now = self.most = 0
    self.order = []
    self.gates = {}


def enter(self, name):
    with self.guard:
        self.now += 1
        self.most = max(self.most, self.now)
        self.order.append(name)


def leave(self):
    with self.guard:
        self.now -= 1


@chute.cord("/wait")
async def wait(self, name: str, seconds: float = 0.05, text: str = ""):
    self.enter(name)
    try:
        await asyncio.sleep(seconds)
    finally:
        self.leave()
    return name


@chute.cord("/compute")
def compute(self, name: str, seconds: float = 0.05):
    self.enter(name)
    try:
        time.sleep(seconds)
    finally:
        self.leave()
    return name


@chute.cord("/stream", stream=True)
async def stream(self, name: str, seconds: float = 0.05):
    self.enter(name)
    try:
        for n in range(5):
            yield {"n": n}
            await asyncio.sleep(seconds / 5)
    finally:
        self.leave()


@chute.cord("/gate")
async def gate(self, name: str):
    """Holds its slot until it is opened."""
    self.enter(name)
    self.gates[name] = asyncio.Event()
    await self.gates[name].wait()
    self.leave()
    return name


@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    """Holds a slot only while it works."""
    await websocket.accept()
    async for name in websocket.iter_text():
        async with self.slot():
            self.enter(name)
            await asyncio.sleep(0.05)
            self.leave()
        await websocket.send_text(name)


@chute.app.post("/open/{name}")
async def open_gate(name: str):
    chute.gates[name].set()


@chute.app.get("/record")
async def record():
    """The most that ran at once, and the order in which they began."""
    return {"most": chute.most, "order": chute.order}
