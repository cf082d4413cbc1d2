"""chutes with everything on: request ids, admission, metrics and the check for clients that leave."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request

from benchmarks.servers.payloads import (
    CONCURRENCY,
    SLEEP_SECONDS,
    TOKENS,
    Answer,
    Prompt,
    answer,
    answer_dict,
)
from chutes.chute import Chute

chute = Chute("benchmarks", "echo", "python:3.11", concurrency=CONCURRENCY)


@chute.cord("/model", output_schema=Answer)
async def model(self: Chute, data: Prompt) -> Answer:
    return answer(data.prompt)


@chute.cord("/fields")
async def fields(self: Chute, prompt: str, max_tokens: int = 100, temperature: float = 0.7) -> dict:
    return answer_dict(prompt)


@chute.cord("/dict")
async def any_dict(self: Chute, data: dict) -> dict:
    return answer_dict(data["prompt"])


@chute.cord("/query", method="GET")
async def query(self: Chute, prompt: str, max_tokens: int = 100) -> dict:
    return answer_dict(prompt)


@chute.cord("/nothing", method="GET")
async def nothing(self: Chute) -> dict:
    return answer_dict("hello world")


@chute.cord("/request")
async def with_request(self: Chute, data: Prompt, request: Request) -> Answer:
    return answer(data.prompt)


@chute.cord("/sync")
def sync(self: Chute, data: Prompt) -> Answer:
    return answer(data.prompt)


@chute.cord("/sleep")
async def sleep(self: Chute) -> dict:
    await asyncio.sleep(SLEEP_SECONDS)
    return {"ok": True}


@chute.cord("/stream", method="GET", stream=True)
async def stream(self: Chute) -> AsyncIterator[dict]:
    for token in TOKENS:
        yield {"token": token}
