"""One cord for each way in which a request is read, for requests that are broken in that way."""

import asyncio
from typing import Annotated

from fastapi import Cookie, File, Form, Header, Request, UploadFile, WebSocket
from pydantic import BaseModel

from chutes import Chute

chute = Chute(
    username="me",
    name="sturdy",
    image="python:3.11",
    concurrency=256,
    max_queue=1024,
    max_body_size=2_000_000,
)


class Nested(BaseModel):
    name: str
    count: int = 0
    share: float = 0.0
    inner: "Nested | None" = None
    labels: dict[str, list[int]] = {}


@chute.cord("/names")
async def names(self, text: str, count: int = 1, share: float = 0.5) -> dict:
    """Parameters by name."""
    return {"text": text, "count": count, "share": share}


@chute.cord("/model")
async def model(self, wish: Nested) -> str:
    return wish.name


@chute.cord("/anything")
async def anything(self, data: dict) -> list:
    return sorted(data)


@chute.cord("/sync", method="PUT")
def sync(self, text: str) -> int:
    return len(text)


@chute.cord("/query", method="GET")
async def query(self, text: str = "", count: int = 0, flags: list[bool] | None = None) -> list:
    return [text, count, flags]


@chute.cord("/things/{number}", method="GET")
async def thing(self, number: int) -> int:
    return number


@chute.cord("/upload")
async def upload(self, document: UploadFile, note: Annotated[str, Form()] = "") -> list:
    content = await document.read()
    return [document.filename, len(content), note]


@chute.cord("/many")
async def many(self, documents: Annotated[list[UploadFile], File()]) -> int:
    return len(documents)


@chute.cord("/form")
async def form(self, text: Annotated[str, Form()], count: Annotated[int, Form()] = 0) -> list:
    return [text, count]


@chute.cord("/injected")
async def injected(
    self,
    request: Request,
    text: str,
    session: Annotated[str, Cookie()] = "",
    x_number: Annotated[int, Header()] = 0,
) -> dict:
    return {"text": text, "session": session, "number": x_number, "host": request.url.hostname}


@chute.cord("/either")
async def either_at_once(self, data: dict) -> int:
    return len(data)


@chute.cord("/either", stream=True)
async def either_in_parts(self, data: dict):
    for key in data:
        yield {"key": key}


@chute.cord("/stream", stream=True)
async def stream(self, text: str, count: int = 3):
    for _ in range(min(count, 10)):
        yield text


@chute.websocket("/talk")
async def talk(self, websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.send_text(await websocket.receive_text())


@chute.websocket("/binary")
async def binary(self, websocket: WebSocket):
    await websocket.accept()
    async for part in websocket.iter_bytes():
        await websocket.send_bytes(part)


@chute.app.get("/tasks")
async def tasks() -> int:
    """How many tasks there are, this request's own among them."""
    return len(asyncio.all_tasks())
