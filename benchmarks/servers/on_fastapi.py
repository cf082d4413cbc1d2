"""FastAPI as its documentation shows it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Body, FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse
from pydantic_core import to_json

from benchmarks.servers.payloads import SLEEP_SECONDS, TOKENS, Answer, Prompt, answer, answer_dict

app = FastAPI()


@app.post("/model")
async def model(data: Prompt) -> Answer:
    return answer(data.prompt)


@app.post("/fields")
async def fields(
    prompt: Annotated[str, Body()],
    max_tokens: Annotated[int, Body()] = 100,
    temperature: Annotated[float, Body()] = 0.7,
) -> dict:
    return answer_dict(prompt)


@app.post("/dict")
async def any_dict(data: dict) -> dict:
    return answer_dict(data["prompt"])


@app.get("/query")
async def query(prompt: str, max_tokens: int = 100) -> dict:
    return answer_dict(prompt)


@app.get("/nothing")
async def nothing() -> dict:
    return answer_dict("hello world")


@app.post("/request")
async def with_request(data: Prompt, request: Request) -> Answer:
    return answer(data.prompt)


@app.post("/sync")
def sync(data: Prompt) -> Answer:
    return answer(data.prompt)


@app.post("/sleep")
async def sleep() -> dict:
    await asyncio.sleep(SLEEP_SECONDS)
    return {"ok": True}


@app.get("/stream", response_class=EventSourceResponse)
async def stream() -> AsyncIterator[dict]:
    for token in TOKENS:
        yield {"token": token}


@app.get("/stream_by_hand")
async def stream_by_hand() -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        for token in TOKENS:
            yield b"data: " + to_json({"token": token}) + b"\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
