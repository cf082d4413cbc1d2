"""Many answers of an engine at once, each read token by token."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2


class TokenStreams:
    """Streams that are read in the background.

    Attributes:
        broken: how many ended by an error.
        whole: how many came to their end.
    """

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.broken = 0
        self.whole = 0
        self._client = client
        self._tasks: list[asyncio.Task[None]] = []
        self._flowing: list[asyncio.Event] = []

    def open(self, url: str, headers: Mapping[str, str], body: dict[str, Any], count: int) -> None:
        """Begin so many of one kind."""
        for _ in range(count):
            flows = asyncio.Event()
            self._flowing.append(flows)
            self._tasks.append(asyncio.create_task(self._read(url, headers, body, flows)))

    async def all_flow(self) -> None:
        """Wait until each has brought something."""
        async with asyncio.timeout(120):
            await asyncio.gather(*(flows.wait() for flows in self._flowing))

    async def all_end(self) -> None:
        """Wait until each has ended, in one way or the other."""
        async with asyncio.timeout(120):
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Leave those that have not ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(
        self, url: str, headers: Mapping[str, str], body: dict[str, Any], flows: asyncio.Event
    ) -> None:
        try:
            async with self._client.stream("POST", url, json=body, headers=dict(headers)) as answer:
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    flows.set()
                    # transformers' server sends no [DONE].
                    if line == "data: [DONE]" or re.search(r'"finish_reason": *"', line):
                        self.whole += 1
                        return
            self.broken += 1
        except httpx2.TransportError:
            self.broken += 1
        finally:
            flows.set()


@asynccontextmanager
async def token_streams() -> AsyncIterator[TokenStreams]:
    """Streams that are closed with the block."""
    async with httpx2.AsyncClient(timeout=120) as client:
        streams = TokenStreams(client)
        try:
            yield streams
        finally:
            await streams.close()


async def streamed_text(url: str, headers: Mapping[str, str], body: dict[str, Any]) -> str:
    """The text of one chat answer, read as a stream."""
    text = ""
    async with (
        httpx2.AsyncClient(timeout=120) as client,
        client.stream("POST", url, json={**body, "stream": True}, headers=dict(headers)) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                choices = json.loads(line[6:])["choices"]
                text += (choices[0]["delta"].get("content") or "") if choices else ""
    return text
