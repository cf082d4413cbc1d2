"""How an exception of the user's code is logged."""

import asyncio
import logging
from pathlib import Path
from types import TracebackType

from starlette.types import Scope

from chutes.errors import ChutesError
from chutes.serve.spans import record_error
from chutes.tracebacks import user_frames

__all__ = ["cancelled_from_outside", "closed_from_outside", "log_failure", "wants_errors"]

_OURS = str(Path(__file__).parent)


def log_failure(logger: logging.Logger, what: str, error: BaseException) -> None:
    """Log `error`, and note it in the trace, with its traceback from the user's function on.

    Thirty frames of server, middleware and routing above it are the same for every error, and hide it. What we raise
    ourselves, of a result that cannot be sent for one, has no frame of the user's at all: its text says all.
    """
    record_error(error)
    summary = f"{what}: {type(error).__name__}: {error}" if str(error) else f"{what}: {type(error).__name__}"
    told = isinstance(error, ChutesError) and not _shows_user_code(error)
    logger.error(
        "%s", summary, exc_info=None if told else (type(error), error, _below_ours(error.__traceback__))
    )


def cancelled_from_outside(error: BaseException) -> bool:
    """Whether the server cancels the call; code that awaits a task which was cancelled raises the same by itself."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)


def closed_from_outside(error: BaseException) -> bool:
    """Whether a call that will never go on is thrown away; code of its own that raises the same runs in a task."""
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        # There is no loop any more.
        return True


def wants_errors(scope: Scope) -> bool:
    """Whether the server is a test that asked for the application's own exceptions."""
    return "chutes.raise_errors" in (scope.get("extensions") or {})


def _below_ours(traceback: TracebackType | None) -> TracebackType | None:
    """The frames beneath our last one; all of them when ours is where it happened."""
    kept = frame = traceback
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.startswith(_OURS) and frame.tb_next is not None:
            kept = frame.tb_next
        frame = frame.tb_next
    return kept


def _shows_user_code(error: BaseException) -> bool:
    """Whether a frame of the error, or of one behind it, is the user's."""
    link: BaseException | None = error
    while link is not None:
        if user_frames(link):
            return True
        link = link.__cause__ or link.__context__
    return False
