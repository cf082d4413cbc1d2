"""Robyn with one process and one worker: python -m benchmarks.servers.on_robyn PORT."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator

from robyn import Request, Response, Robyn, SSEMessage, SSEResponse

from benchmarks.servers.payloads import SLEEP_SECONDS, TOKENS, Answer, Prompt, answer

_read = Prompt.__pydantic_validator__.validate_json
_write = Answer.__pydantic_serializer__.to_json

app = Robyn(__file__)


@app.post("/model")
async def model(request: Request) -> Response:
    # Robyn validates nothing by itself.
    body = _write(answer(_read(request.body).prompt)).decode()
    return Response(200, {"content-type": "application/json"}, body)


@app.post("/sleep")
async def sleep() -> Response:
    await asyncio.sleep(SLEEP_SECONDS)
    return Response(200, {"content-type": "application/json"}, '{"ok":true}')


@app.get("/stream")
async def stream():
    async def events() -> AsyncIterator[str]:
        for token in TOKENS:
            yield SSEMessage(json.dumps({"token": token}))

    return SSEResponse(events())


if __name__ == "__main__":
    os.environ.setdefault("ROBYN_HOST", "127.0.0.1")
    app.start(host="127.0.0.1", port=int(sys.argv[1]))
