"""The run that a job's function is part of, as the function itself sees it."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

from chutes.jobs.folders import Directory
from chutes.jobs.run import Run

__all__ = ["CurrentRun", "current_run"]

_OFTEN_ENOUGH_SECONDS = 0.1
_LINES = 1000

Note = Callable[[Run, float, str | None], Awaitable[bool]]


class CurrentRun:
    """One attempt of a run, from inside.

    Attributes:
        id: of the run.
        job: name of the job.
        attempt: counted from 1.
        max_attempts: of the run.
        lines: what it logged and is not stored yet; the oldest are lost where there are too many.
        cancelled: somebody asked for its end; a plain function looks here, and returns.
    """

    def __init__(self, run: Run, note: Note, loop: asyncio.AbstractEventLoop, directory: Directory) -> None:
        self.id = run.id
        self.job = run.job
        self.attempt = run.attempt
        self.max_attempts = run.max_attempts
        self.cancelled = False
        self.lines: deque[str] = deque(maxlen=_LINES)
        self._run = run
        self._note = note
        self._loop = loop
        self._noted = float("-inf")
        self._directory = directory

    @property
    def directory(self) -> Path:
        """The working directory of this attempt, made on first use: empty, and on this machine's disk.

        What is in it when the run ends is kept with the run; it itself is removed. A failed attempt that is followed by another
        one leaves nothing.

        Raises:
            OSError: it cannot be made.
        """
        return self._directory.path()

    async def progress(self, share: float, note: str | None = None) -> None:
        """Tell how much is done, 0 to 1, and what is being done now.

        Calls that come faster than ten a second are left out, save the last step.

        Raises:
            ValueError: `share` is not between 0 and 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"Invalid progress {share!r}. It is a share from 0 to 1, for example 0.5.")
        now = time.monotonic()
        if share < 1 and now - self._noted < _OFTEN_ENOUGH_SECONDS:
            return
        self._noted = now
        if await self._note(self._run, share, note):
            self.cancelled = True

    def progress_from_thread(self, share: float, note: str | None = None) -> None:
        """The same for a plain function, which runs in a thread."""
        asyncio.run_coroutine_threadsafe(self.progress(share, note), self._loop).result()

    def add_line(self, level: str, message: str) -> None:
        """Note a line with the run, as if its function had logged it."""
        self.lines.append(json.dumps({"level": level, "message": message}))


current_run: ContextVar[CurrentRun | None] = ContextVar("current_run", default=None)
