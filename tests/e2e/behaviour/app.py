"""A chute with one of everything whose behaviour must not depend on where it runs."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

from fastapi import WebSocket
from pydantic import BaseModel

from chutes import Chute

chute = Chute(
    username="me",
    name="everything",
    image="python:3.11",
    concurrency=2,
    max_queue=1,
    max_instances=2,
    shutdown_grace=5,
    on_disconnect="cancel",
)


class Order(BaseModel):
    """What somebody wants."""

    item: str
    amount: int = 1


def note(text):
    """Adds a line to what the test reads; one write is whole, whoever else writes."""
    with notes().open("a") as file:
        file.write(f"{text}\n")


def notes():
    return Path(os.environ["NOTES"])


@chute.on_startup()
async def begin(self):
    self.started = os.getpid()
    note(f"begin {os.getpid()}")


@chute.on_shutdown()
async def end(self):
    note(f"end {os.getpid()}")


@chute.cord("/order")
async def order(self, order: Order) -> dict:
    return {"item": order.item.upper(), "amount": order.amount, "pid": self.started}


@chute.cord("/in-a-thread")
def in_a_thread(self, text: str) -> str:
    return text[::-1]


@chute.cord("/picture", method="GET", output_content_type="image/png")
async def picture(self) -> bytes:
    return b"\x89PNG"


@chute.cord("/wrong")
async def wrong(self) -> str:
    raise LookupError("a secret of the code")


@chute.cord("/events", stream=True, output_content_type="text/event-stream")
async def events(self, count: int = 3, fail: bool = False):
    for number in range(count):
        yield {"n": number}
        await asyncio.sleep(0.01)
    if fail:
        raise LookupError("a secret of the code")


@chute.cord("/words", stream=True, output_content_type="text/plain")
async def words(self, name: str):
    try:
        for number in range(1000):
            yield f"{number}\n"
            await asyncio.sleep(0.05)
    finally:
        note(f"words of {name} are over")


@chute.cord("/hold")
async def hold(self, name: str) -> str:
    note(f"hold {name}")
    try:
        while f"release {name}" not in notes().read_text().splitlines():
            await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        note(f"cancelled {name}")
        raise
    return name


@chute.websocket("/talk")
async def talk(self, socket: WebSocket):
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text.upper())


@chute.job()
async def work(self, number: int) -> int:
    return number * 2


@chute.job(schedule="* * * * *")
async def tick(self):
    note(f"tick {datetime.now().strftime('%H:%M')} {os.getpid()}")
