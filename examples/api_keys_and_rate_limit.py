"""API keys with names, and a rate limit for each: who may call, and how often.

For one list of keys that closes the whole chute no code is needed: set CHUTES_API_KEYS. This example is for
rules of your own, here a limit for each client.

Run it:   python examples/api_keys_and_rate_limit.py
Ask it:   curl -si 127.0.0.1:8000/summary -H 'X-API-Key: try-me' -H 'Content-Type: application/json' \
               -d '{"text": "One. Two. Two and two are four.", "sentences": 1}'
"""

import hashlib
import math
import re
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Annotated

from fastapi import HTTPException, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, Field

from chutes.chute import Chute


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    requests_per_minute: int


# Only SHA-256 hashes are kept, so a copy of this file opens nothing. The keys behind these two are "try-me"
# and "busy-bee", for you to try; real keys are long and random, as `secrets.token_urlsafe(32)` makes them. A
# fast hash is right for such keys. It would be wrong for passwords, which can be guessed.
CLIENTS = {
    "4b3c1bf421d96f1b49942450483ffb00bad52cbc5be4cc39b9552bb8fa56395c": Client("guest", 5),
    "eaa4998165452dfe0325b153026f192ba3b4e9a9456129eae22425abc61502bb": Client("partner", 120),
}
WINDOW_SECONDS = 60.0


class SlidingWindow:
    """Counts what each client did within the last `seconds`, wherever that stretch of time begins.

    A counter that is set back to 0 every minute would let a double burst through around the full minute.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: dict[str, deque[float]] = {}

    def wait(self, client: str, limit: int, now: float) -> float:
        """Return 0 and count the request if it is within the limit, else the seconds until one fits again."""
        self._forget(now - self._seconds)
        times = self._times.setdefault(client, deque())
        if len(times) >= limit:
            return times[0] + self._seconds - now
        times.append(now)
        return 0.0

    def used(self, client: str) -> int:
        return len(self._times.get(client, ()))

    def _forget(self, before: float) -> None:
        # Clients that went quiet are dropped whole, so memory follows the traffic and not the history.
        for client, times in list(self._times.items()):
            while times and times[0] <= before:
                times.popleft()
            if not times:
                del self._times[client]


class Summary(BaseModel):
    summary: list[str]


class Problem(BaseModel):
    detail: str


chute = Chute(
    username="examples",
    name="api-keys",
    image="python:3.11",
    tagline="Summaries, for those who have a key",
    concurrency=4,
)


@chute.on_startup()
async def set_up_security(self):
    self.window = SlidingWindow(WINDOW_SECONDS)


# Functions of this file whose first parameter is `self` are found as methods: `self.identify(api_key)`.
def identify(self, api_key: str | None) -> Client:
    """Return the client that the key belongs to, or answer 401."""
    # Looking a hash up tells an attacker nothing through its timing: nearly right keys have unlike hashes.
    client = CLIENTS.get(hashlib.sha256((api_key or "").encode()).hexdigest())
    if client is None:
        raise HTTPException(401, "The X-API-Key header is missing, or its key is unknown.")
    return client


def check_rate_limit(self, client: Client) -> int:
    """Count a request and return how many are left, or answer 429 and say when to come back."""
    wait = self.window.wait(client.name, client.requests_per_minute, time.monotonic())
    if wait > 0:
        limit = f"{client.requests_per_minute} requests a minute"
        raise HTTPException(429, f"More than {limit}.", {"Retry-After": str(math.ceil(wait))})
    return client.requests_per_minute - self.window.used(client.name)


@chute.cord(
    "/summary",
    output_schema=Summary,
    responses={
        401: {"model": Problem, "description": "No key, or an unknown one."},
        429: {"model": Problem, "description": "Too many requests; `Retry-After` gives the seconds to wait."},
    },
)
async def summarise(
    self,
    text: Annotated[str, Field(min_length=1, max_length=20_000)],
    response: Response,
    # FastAPI's own: it reads the header, and /docs gets an 'Authorize' button.
    api_key: Annotated[str | None, Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
    sentences: Annotated[int, Field(ge=1, le=20)] = 3,
) -> Summary:
    """The sentences of a text that carry most of its frequent words, in their order."""
    client = self.identify(api_key)
    response.headers["X-RateLimit-Remaining"] = str(self.check_rate_limit(client))
    return Summary(summary=summary(text, sentences))


def summary(text: str, count: int) -> list[str]:
    sentences = [sentence.strip() for sentence in re.split(r"(?<=[.!?])\s+", text) if sentence.strip()]
    # Words of four letters and more: the short ones are mostly grammar.
    frequency = Counter(re.findall(r"\w{4,}", text.lower()))

    def weight(position: int) -> float:
        words = re.findall(r"\w{4,}", sentences[position].lower())
        return sum(frequency[word] for word in words) / (len(words) + 3)

    best = sorted(range(len(sentences)), key=weight, reverse=True)[:count]
    return [sentences[position] for position in sorted(best)]


if __name__ == "__main__":
    chute.run_local(host="127.0.0.1")
