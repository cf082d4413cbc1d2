"""LitServe with one worker: python -m benchmarks.servers.on_litserve WORKLOAD PORT."""

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import Any

import litserve

from benchmarks.servers.payloads import (
    MAX_BATCH,
    MAX_WAIT,
    SLEEP_SECONDS,
    TOKENS,
    Answer,
    Number,
    Prompt,
    answer,
    run_batch,
)


class Echo(litserve.LitAPI):
    def setup(self, device: str) -> None:
        """Nothing to load."""

    def decode_request(self, request: Prompt) -> str:
        return request.prompt

    def predict(self, x: str) -> Answer:
        return answer(x)

    def encode_response(self, output: Answer) -> Answer:
        return output


class Sleep(litserve.LitAPI):
    def setup(self, device: str) -> None:
        """Nothing to load."""

    async def decode_request(self, request: dict) -> dict:
        return request

    async def predict(self, x: dict) -> dict:
        await asyncio.sleep(SLEEP_SECONDS)
        return {"ok": True}

    async def encode_response(self, output: dict) -> dict:
        return output


class Batched(litserve.LitAPI):
    def setup(self, device: str) -> None:
        """Nothing to load."""

    def decode_request(self, request: Number) -> float:
        return request.x

    def batch(self, inputs: list[float]) -> list[float]:
        return inputs

    def predict(self, x: list[float]) -> list[float]:
        return run_batch(x)

    def unbatch(self, output: list[float]) -> list[float]:
        return output

    def encode_response(self, output: float) -> dict:
        return {"y": output}


class Stream(litserve.LitAPI):
    def setup(self, device: str) -> None:
        """Nothing to load."""

    def decode_request(self, request: dict) -> dict:
        return request

    def predict(self, x: dict) -> Iterator[str]:
        yield from TOKENS

    # LitServe makes a response model of a type for the result, and there is none for an iterator.
    def encode_response(self, output: Iterator[str]):
        for token in output:
            yield "data: " + json.dumps({"token": token}) + "\n\n"


def api(workload: str) -> Any:
    if workload == "sleep":
        return Sleep(enable_async=True)
    if workload == "batch":
        return Batched(max_batch_size=MAX_BATCH, batch_timeout=MAX_WAIT)
    if workload == "stream":
        return Stream(stream=True)
    return Echo()


if __name__ == "__main__":
    server = litserve.LitServer(api(sys.argv[1]), accelerator="cpu", track_requests=False)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
