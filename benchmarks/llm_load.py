"""Clients of a language model: how soon the first token of an answer comes, and how many come a second."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx2

__all__ = ["TOKENS", "Address", "Spoken", "spoken"]

TOKENS = 32
"""Of each answer."""

_DATA = "data: "
_END = "[DONE]"
_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a model is asked.

    Attributes:
        url: scheme, host and port.
        headers: of every request.
        model: what it is called there.
        alike: it takes llama.cpp's own fields, by which each answer is as long as the others and none profits from an
            earlier one.
    """

    url: str
    headers: Mapping[str, str]
    model: str
    alike: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What came back.

    Attributes:
        first: seconds from each request to its first token.
        tokens: in all.
        seconds: from the first request to the last token.
        faults: why requests brought no whole answer.
    """

    first: tuple[float, ...]
    tokens: int
    seconds: float
    faults: tuple[str, ...] = ()


async def spoken(address: Address, *, clients: int, requests: int) -> Spoken:
    """Ask so many times, by so many clients at once, each of which waits for its answer."""
    first: list[float] = []
    counts: list[int] = []
    faults: list[str] = []
    numbers = iter(range(requests))
    limits = httpx2.Limits(max_connections=None)
    # A connection for each: llama.cpp closes them behind a stream without saying so, and what comes next over one is lost.
    headers = {**address.headers, "Connection": "close"}
    async with httpx2.AsyncClient(
        base_url=address.url, headers=headers, timeout=_TIMEOUT, limits=limits, trust_env=False
    ) as client:
        began = time.perf_counter()

        async def ask(numbers: Iterator[int]) -> None:
            for number in numbers:
                try:
                    seconds, tokens = await _answer(client, address, number)
                except (httpx2.HTTPError, RuntimeError, ValueError) as error:
                    faults.append(f"{number}: {type(error).__name__}: {error}")
                else:
                    first.append(seconds)
                    counts.append(tokens)

        await asyncio.gather(*(ask(numbers) for _ in range(clients)))
        took = time.perf_counter() - began
    return Spoken(first=tuple(first), tokens=sum(counts), seconds=took, faults=tuple(faults))


async def _answer(client: httpx2.AsyncClient, address: Address, number: int) -> tuple[float, int]:
    """Seconds to the first token, and how many came."""
    question = f"Write a long story about the number {number}."
    body = {
        "model": address.model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
    }
    if address.alike:
        body |= {"ignore_eos": True, "cache_prompt": False}
    began, first, tokens = time.perf_counter(), None, 0
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:  # noqa: PLR2004 - success
            raise RuntimeError(f"status {answer.status_code}")
        async for line in answer.aiter_lines():
            if not line.startswith(_DATA) or line[len(_DATA) :] == _END:
                continue
            if _has_text(line[len(_DATA) :]):
                tokens += 1
                first = time.perf_counter() if first is None else first
    if first is None:
        raise RuntimeError("no token came")
    return first - began, tokens


def _has_text(data: str) -> bool:
    choices = json.loads(data).get("choices") or ({},)
    return bool((choices[0].get("delta") or {}).get("content"))
