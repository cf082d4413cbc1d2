"""The time that retries wait by, so that tests need not wait."""

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "FakeClock", "SystemClock"]


class Clock(Protocol):
    """What the clients need of time; all in seconds."""

    def monotonic(self) -> float:
        """A time that never goes back, for measuring."""

    def time(self) -> float:
        """The time since 1970, for comparing with the dates of answers."""

    def sleep(self, seconds: float) -> None:
        """Wait, in the sync client."""

    async def asleep(self, seconds: float) -> None:
        """Wait, in the async client."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def time(self) -> float:
        """See `Clock`."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """See `Clock`."""
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that moves only when somebody sleeps by it; it remembers each wait.

    Attributes:
        now: the seconds since 1970 that it shows.
        sleeps: every wait so far, in order.
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.sleeps: list[float] = []

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.now

    def time(self) -> float:
        """See `Clock`."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        self.sleeps.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        """See `Clock`."""
        self.sleep(seconds)
