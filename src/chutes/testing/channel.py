"""A bounded queue between the test and the application, both on one event loop."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Channel"]

T = TypeVar("T")


class Channel(Generic[T]):
    """A queue whose writer waits while it is full, and which either side can end.

    Args:
        limit: total weight from which on a writer waits. One item may exceed it, so that none is too large.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def exhausted(self) -> bool:
        """Whether the writer has ended and everything was read."""
        return self._closed and not self._items

    async def put(self, item: T, weight: int = 1) -> bool:
        """Add an item once there is room; False when the channel was closed instead."""
        while not self._closed and self._weight >= self._limit:
            await self._changed.wait()
        if self._closed:
            return False
        self._items.append((item, weight))
        self._weight += weight
        self._notify()
        return True

    async def get(self) -> T | None:
        """The next item once there is one; None when the channel was closed and is empty."""
        while not self._items and not self._closed:
            await self._changed.wait()
        if not self._items:
            return None
        item, weight = self._items.popleft()
        self._weight -= weight
        self._notify()
        return item

    def close(self) -> None:
        """Take no further items; those inside can still be read."""
        self._closed = True
        self._notify()

    def abandon(self) -> None:
        """Take no further items, and drop those inside."""
        self._items.clear()
        self._weight = 0
        self.close()

    def _notify(self) -> None:
        # Whoever waits holds the old event: it wakes once, and looks again.
        self._changed.set()
        self._changed = asyncio.Event()
