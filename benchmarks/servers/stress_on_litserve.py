"""LitServe with one worker and a semaphore for the slots: python -m benchmarks.servers.stress_on_litserve WORKLOAD PORT."""

import asyncio
import sys
from collections.abc import AsyncIterator

import litserve

from benchmarks.servers.stress import SLOTS, Progress, work


class Work(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.slots = asyncio.Semaphore(SLOTS)

    async def decode_request(self, request: dict) -> dict:
        return request

    async def predict(self, x: dict) -> dict:
        async with self.slots:
            return await work()

    async def encode_response(self, output: dict) -> dict:
        return output


class Call(Work):
    async def predict(self, x: dict) -> dict:
        return await Progress().run()


class Stream(litserve.LitAPI):
    def setup(self, device: str) -> None:
        """Nothing to load."""

    async def decode_request(self, request: dict) -> dict:
        return request

    async def predict(self, x: dict) -> AsyncIterator[str]:
        async for event in Progress().stream():
            yield event

    # LitServe makes a response model of a type for the result, and there is none for an iterator.
    async def encode_response(self, output: AsyncIterator[str]):
        async for event in output:
            yield event


if __name__ == "__main__":
    workload = sys.argv[1]
    apis = {"work": Work, "call": Call, "stream": Stream}
    api = apis[workload](enable_async=True, stream=workload == "stream")
    server = litserve.LitServer(api, accelerator="cpu", track_requests=False)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
