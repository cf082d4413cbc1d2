"""Limits on single waits, as httpx2 attaches them to a request."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

import httpx2

__all__ = ["WaitLimits", "within"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLimits:
    """Seconds to wait for the next part to come (`read`), or to be taken (`write`); None is for ever."""

    read: float | None = None
    write: float | None = None

    @classmethod
    def of(cls, request: httpx2.Request) -> "WaitLimits":
        """The limits that the client attached to `request`."""
        limits = request.extensions.get("timeout", {})
        return cls(read=limits.get("read"), write=limits.get("write"))


async def within(seconds: float | None, wait: Awaitable[T], late: Exception) -> T:
    """The result of `wait`; raises `late` after so many seconds."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await wait
    except TimeoutError:
        # The application may have raised a TimeoutError of its own, which has to stay what it is.
        if not limit.expired():
            raise
        raise late from None
