"""A model that is loaded before the first call, and put away after the last one."""

import time
from pathlib import Path

from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="hooks", image="python:3.11")


class Ledger:
    """Stands for a database: it must be closed."""

    def __init__(self, path):
        self.file = path.open("w")

    async def close(self):
        self.file.write("closed\n")
        self.file.close()


@chute.on_startup()
async def load(self):
    """Takes the loop for itself, as most loaders do."""
    time.sleep(0.05)
    self.model = Echo()
    await self.model.load()
    print("the model is there")


@chute.on_startup(priority=10)
def prepare(self):
    self.order = ["prepare"]


@chute.on_startup(priority=90)
async def open_ledger(self):
    self.order.append("open_ledger")
    self.ledger = Ledger(Path("ledger.txt"))


@chute.on_shutdown()
async def put_away(self):
    if hasattr(self, "model"):
        del self.model
    if hasattr(self, "ledger"):
        await self.ledger.close()
    print("all is put away")


@chute.cord(public_api_path="/say", method="POST")
async def say(self, text: str) -> str:
    """Says it back."""
    return await self.model.answer(text)


@chute.cord(public_api_path="/order", method="GET")
async def order(self) -> list[str]:
    """The hooks in the order in which they ran."""
    return self.order
