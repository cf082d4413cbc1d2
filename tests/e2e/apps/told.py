"""Cords that tell the id of their request in each way in which they can."""

import asyncio

from fastapi import HTTPException, Request, Response, WebSocket

from chutes import Chute

chute = Chute(
    username="me",
    name="told",
    image="python:3.11",
    concurrency=32,
    max_body_size=10_000,
    readme="Secret recipe",
)


@chute.cord("/ask")
async def ask(self, name: str, request: Request) -> str:
    self.logger.info("begins %s", name)
    await asyncio.sleep(0.02)
    self.logger.info("ends %s", name)
    return request.state.request_id


@chute.cord("/ask-in-a-thread")
def ask_in_a_thread(self, name: str, request: Request) -> str:
    self.logger.info("in a thread %s", name)
    return request.state.request_id


@chute.cord("/stream", stream=True)
async def stream(self, name: str):
    for _ in range(3):
        self.logger.info("streams %s", name)
        await asyncio.sleep(0.01)
        yield name


@chute.cord("/stream-in-a-thread", stream=True)
def stream_in_a_thread(self, name: str):
    for _ in range(3):
        self.logger.info("streams in a thread %s", name)
        yield name


@chute.cord("/fails")
async def fails(self, name: str):
    raise RuntimeError(f"no {name}")


@chute.cord("/breaks", stream=True)
async def breaks(self, name: str):
    yield {"name": name}
    raise RuntimeError(f"no {name}")


@chute.cord("/refuses")
async def refuses(self, name: str):
    raise HTTPException(418, headers={"X-Own": "yes"})


@chute.cord("/own", method="GET")
async def own(self) -> Response:
    return Response("own", headers={"X-Request-ID": "chosen-by-the-cord"})


@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        self.logger.info("hears %s", text)
        await websocket.send_text(websocket.state.request_id)
