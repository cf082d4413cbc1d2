"""Litestar as its documentation shows it: its own msgspec structs, which are its fastest."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Litestar, get, post
from litestar.response import ServerSentEvent

from benchmarks.servers.payloads import SLEEP_SECONDS, TOKENS


class Prompt(msgspec.Struct):
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=10000)]
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 100
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.7


class Answer(msgspec.Struct):
    generated_text: str
    tokens_used: int


@post("/model", status_code=200)
async def model(data: Prompt) -> Answer:
    return Answer("echo: " + data.prompt, len(data.prompt.split()))


@post("/sleep", status_code=200)
async def sleep() -> dict[str, bool]:
    await asyncio.sleep(SLEEP_SECONDS)
    return {"ok": True}


@get("/stream")
async def stream() -> ServerSentEvent:
    async def events() -> AsyncIterator[str]:
        for token in TOKENS:
            yield msgspec.json.encode({"token": token}).decode()

    return ServerSentEvent(events())


app = Litestar([model, sleep, stream])
