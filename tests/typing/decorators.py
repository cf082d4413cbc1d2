"""Checked by mypy and never run: a decorator keeps the type of its function."""

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, WebSocket

from chutes import Chute, Image, NodeSelector

image: Image = Image(username="test", name="image", tag="1").run_command("true").with_env("A", "1")
chute = Chute(username="test", name="typed", image=image, node_selector=NodeSelector(gpu_count=1))


@chute.on_startup()
async def load(self: Chute) -> None:
    self.logger.info("starts as %s", self.config.name)


@chute.cord("/measure")
async def measure(self: Chute, text: str, times: int = 1) -> int:
    return len(text) * times


@chute.cord("/letters", stream=True)
async def letters(self: Chute, text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


@chute.cord("/double")
def double(self: Chute, number: float) -> float:
    return number * 2


@chute.websocket("/talk")
async def talk(self: Chute, websocket: WebSocket) -> None:
    async with self.slot():
        await websocket.accept()


@chute.job(schedule="@daily")
async def tidy(self: Chute) -> None: ...


startup: Callable[[Chute], Awaitable[None]] = load
cord: Callable[[Chute, str, int], Awaitable[int]] = measure
stream: Callable[[Chute, str], AsyncIterator[str]] = letters
sync: Callable[[Chute, float], float] = double
socket: Callable[[Chute, WebSocket], Awaitable[None]] = talk
job: Callable[[Chute], Awaitable[None]] = tidy
app: FastAPI = chute.app
