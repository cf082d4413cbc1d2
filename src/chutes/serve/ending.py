"""End the process although code of the user's holds on to it."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable

__all__ = ["end_now", "end_soon", "leave_threads_behind"]

_THREADS_SECONDS = 1.0
_LAST_WORDS_SECONDS = 1.0


def end_now(code: int) -> None:
    """End without waiting for tasks and threads."""
    # In a thread: a signal may have interrupted whoever holds the lock of the log, for good.
    last_words = threading.Thread(target=_flush, daemon=True)
    last_words.start()
    last_words.join(_LAST_WORDS_SECONDS)
    os._exit(code)


def _flush() -> None:
    logging.shutdown()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()


def end_soon(code: int, seconds: float, say: Callable[[], None] | None = None) -> threading.Timer:
    """End after some seconds, and `say` why, unless the process has ended or the timer was cancelled by then."""

    def end() -> None:
        if say is not None:
            say()
        end_now(code)

    return _started(threading.Timer(seconds, end))


def leave_threads_behind(code: int) -> None:
    """Let the process end within a second, for the caller is about to: Python itself waits for every thread."""

    def end() -> None:
        main = threading.main_thread()
        left = [one.name for one in threading.enumerate() if one is not main and not one.daemon]
        if left:
            logging.getLogger("chutes.serve").warning(
                "The process ends while threads still run: %s.", ", ".join(left)
            )
            end_now(code)

    _started(threading.Timer(_THREADS_SECONDS, end))


def _started(timer: threading.Timer) -> threading.Timer:
    timer.daemon = True
    timer.start()
    return timer
