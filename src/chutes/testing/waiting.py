"""Waiting in a test for what happens elsewhere."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["async_wait_until", "wait_until"]

T = TypeVar("T")

_INTERVAL = 0.005


def wait_until(predicate: Callable[[], T], timeout: float = 5.0) -> T:
    """The first true value of `predicate()`, asked again and again.

    Args:
        predicate: asked at once, then every few milliseconds.
        timeout: seconds.

    Raises:
        TimeoutError: no answer was true in time.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise _too_late(predicate, value, timeout)
        time.sleep(_INTERVAL)
    return value


async def async_wait_until(predicate: Callable[[], T], timeout: float = 5.0) -> T:  # noqa: ASYNC109 - as its twin
    """The first true value of `predicate()`, asked again and again, while the event loop runs.

    Args:
        predicate: asked at once, then every few milliseconds.
        timeout: seconds.

    Raises:
        TimeoutError: no answer was true in time.
    """
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise _too_late(predicate, value, timeout)
        await asyncio.sleep(_INTERVAL)
    return value


def _too_late(predicate: Callable[[], object], value: object, timeout: float) -> TimeoutError:
    name = getattr(predicate, "__qualname__", repr(predicate))
    return TimeoutError(f"{name} was not true within {timeout} s; its last value was {value!r}.")
