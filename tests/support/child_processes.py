"""What tests of child processes ask the system: who is alive, and whether something becomes true in time."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return state.stdout.strip()[:1] not in {"", "Z"}


def wait_until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Blocks until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not become true in time."
        time.sleep(0.02)


async def becomes_true(condition: Callable[[], object], seconds: float = 10) -> None:
    """Waits until the condition holds, while the event loop goes on."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


def wait_until_gone(pids: Iterable[int], seconds: float = 5) -> None:
    """Blocks until none of the processes is alive, and ends those that are when the time is over."""
    left = list(pids)
    try:
        wait_until(lambda: not any(map(is_alive, left)), seconds)
    finally:
        for pid in filter(is_alive, left):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
