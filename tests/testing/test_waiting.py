"""Waiting in a test for what happens elsewhere."""

import asyncio
import itertools

import pytest

from chutes.testing import async_wait_until, wait_until


def test_wait_until_returns_the_first_true_value():
    values = itertools.chain([None, 0, "", "ready"], itertools.repeat("later"))
    assert wait_until(lambda: next(values)) == "ready"


def test_wait_until_says_what_did_not_come_true():
    def finished():
        return []

    with pytest.raises(TimeoutError, match=r"finished was not true within 0\.02 s; its last value was \[\]"):
        wait_until(finished, timeout=0.02)


async def test_async_wait_until_lets_the_loop_run():
    done = []
    asyncio.get_running_loop().call_later(0.01, done.append, "ready")
    assert await async_wait_until(lambda: done) == ["ready"]


async def test_async_wait_until_says_what_did_not_come_true():
    with pytest.raises(TimeoutError, match=r"was not true within 0\.02 s"):
        await async_wait_until(lambda: False, timeout=0.02)
