"""An attempt that runs here, and what becomes of it: its result, or its error and the time of the next one."""

import asyncio
import logging
import random
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from chutes.jobs.current import CurrentRun
from chutes.jobs.folders import Directory
from chutes.jobs.run import Attempt, Run, Status
from chutes.jobs.store import Ending
from chutes.json_values import encode_json
from chutes.tracebacks import is_user_file

__all__ = ["RESULT_LIMIT", "Backoff", "Execution", "ending_of", "failed"]

RESULT_LIMIT = 1024 * 1024
"""Bytes of a result, at most: it is kept in the database."""

_ERROR_LIMIT = 4000
_logger = logging.getLogger("chutes.jobs")


@dataclass(slots=True, eq=False)
class Execution:
    """An attempt that runs here.

    Attributes:
        run: as it was claimed.
        stop: done with the reason once it should end: lost, cancelled, shutdown.
        current: the run as the function sees it.
        directory: for the files of the function.
        in_thread: the function is a plain one.
        abandoned: its code goes on though the attempt has ended.
        task: the whole attempt.
        begun: when, by the monotonic clock.
    """

    run: Run
    stop: "asyncio.Future[str]"
    current: CurrentRun
    directory: Directory
    in_thread: bool
    abandoned: bool = False
    task: "asyncio.Task[None] | None" = None
    begun: float = field(default_factory=time.monotonic)

    def end(self, reason: str) -> None:
        """Have it end, unless it was told so already."""
        if not self.stop.done():
            self.stop.set_result(reason)

    def line(self, error: str) -> str:
        """Of the run's history, about this attempt."""
        run = self.run
        started = run.started_at or run.created_at
        ended = started + int((time.monotonic() - self.begun) * 1000)
        return Attempt(number=run.attempt, started_at=started, finished_at=ended, error=error).line()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a retry waits, in seconds.

    Attributes:
        base: the first one up to so long, each further one up to twice as long as that before.
        cap: none longer than that.
    """

    base: float
    cap: float

    def delay(self, attempt: int) -> float:
        """The wait after an attempt, counted from 1."""
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        limit = min(self.cap, self.base * 2 ** min(attempt - 1, 32))
        return random.uniform(0, limit)  # noqa: S311 - no secret


def ending_of(
    execution: Execution, call: "asyncio.Future[Any]", reason: str, backoff: Backoff
) -> Ending | None:
    """What became of an attempt that was stopped for `reason`, if for any; None when it is another worker's by now."""
    run = execution.run
    if reason == "lost":
        _logger.warning("Run %s of job %r is another worker's by now.", run.id, run.job)
        return None
    if call.done() and not call.cancelled():
        error = call.exception()
        if error is None:
            return _succeeded(execution, call.result(), backoff)
        if not reason:
            return failed(execution, _text(error), backoff)
    if reason == "cancelled":
        return Ending(status=Status.CANCELLED, error="cancelled", history=execution.line("cancelled"))
    if reason == "shutdown":
        return Ending(status=Status.QUEUED, error="handed back", refund=True)
    if reason == "timed out":
        limit = (run.timeout_ms or 0) / 1000
        return failed(execution, f"timed out after {limit:g} s", backoff)
    return failed(execution, "cancelled by its own code", backoff)


def failed(execution: Execution, error: str, backoff: Backoff, *, final: bool = False) -> Ending:
    """The end of an attempt that failed; a final one is the last, whatever attempts are left."""
    run = execution.run
    history = execution.line(error)
    if final or run.attempt >= run.max_attempts:
        return Ending(status=Status.FAILED, error=error, history=history)
    delay_ms = int(backoff.delay(run.attempt) * 1000)
    return Ending(status=Status.QUEUED, error=error, delay_ms=delay_ms, history=history)


def _succeeded(execution: Execution, value: Any, backoff: Backoff) -> Ending:
    try:
        text = encode_json(value)
    except (ValueError, TypeError, RecursionError) as error:
        said = f"The function returned {type(value).__name__}, which cannot be JSON: {error}"
        return failed(execution, said, backoff, final=True)
    if len(text) > RESULT_LIMIT:
        said = f"The result has {len(text)} bytes; {RESULT_LIMIT} are kept. Store it elsewhere, and return where it is."
        return failed(execution, said, backoff, final=True)
    return Ending(status=Status.SUCCEEDED, result=text.decode())


def _text(error: BaseException) -> str:
    """Its traceback from the job's own function on; how we came to call that says nothing."""
    place = error.__traceback__
    while place is not None and not is_user_file(place.tb_frame.f_code.co_filename):
        place = place.tb_next
    lines = traceback.format_exception(type(error), error, place or error.__traceback__)
    return "".join(lines)[-_ERROR_LIMIT:]
