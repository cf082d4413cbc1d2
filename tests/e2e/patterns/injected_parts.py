"""Parts that are known by their protocol alone, made in a startup hook."""

from typing import Optional, Protocol

from stand_in import Echo

from chutes import Chute

chute = Chute(username="poets", name="injected-parts", image="python:3.11")


class Answers(Protocol):
    async def answer(self, text: str) -> str: ...


class Remembers(Protocol):
    async def get(self, key: str) -> Optional[str]: ...  # noqa: UP045 - users write it so
    async def put(self, key: str, value: str) -> None: ...


class Shelf:
    def __init__(self):
        self.kept = {}

    async def get(self, key):
        return self.kept.get(key)

    async def put(self, key, value):
        self.kept[key] = f"{value} (kept)"


@chute.on_startup()
async def assemble(self):
    self.model: Answers = Echo()
    self.shelf: Remembers = Shelf()
    await self.model.load()


@chute.cord(public_api_path="/ask")
async def ask(self, text: str):
    if kept := await self.shelf.get(text):
        return kept
    answer = await self.model.answer(text)
    await self.shelf.put(text, answer)
    return answer
