"""How a download tells how far it is."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["LogProgress", "Progress", "size_text"]

logger = logging.getLogger("chutes.models")

_UNITS = ("kB", "MB", "GB", "TB")
_STEP = 1000


class Progress(Protocol):
    """Is told how a download goes, from several threads; what it raises ends the download."""

    def start(self, name: str, total_bytes: int) -> None:
        """The download of `name` begins."""

    def advance(self, size_bytes: int) -> None:
        """So many more bytes have come; fewer than none when some have to come again."""

    def finish(self) -> None:
        """Everything has come."""


class LogProgress:
    """Log lines: at the start, at the end, and every few seconds between.

    Args:
        interval: seconds between two lines.
        say: takes each line; None: the log.
    """

    def __init__(self, interval: float = 5.0, say: Callable[[str], None] | None = None) -> None:
        self._interval = interval
        self._say = say or logger.info
        self._lock = threading.Lock()
        self._name = ""
        self._total = self._done = 0
        self._began = self._next = 0.0

    def start(self, name: str, total_bytes: int) -> None:
        """Say what is fetched, and how much that is."""
        self._name, self._total, self._done = name, total_bytes, 0
        self._began = time.monotonic()
        self._next = self._began + self._interval
        self._say(f"Downloading {name}: {size_text(total_bytes)}.")

    def advance(self, size_bytes: int) -> None:
        """Count, and say so now and then."""
        now = time.monotonic()
        with self._lock:
            self._done += size_bytes
            if now < self._next:
                return
            self._next = now + self._interval
        done, share = size_text(self._done), self._done / max(self._total, 1)
        rate = size_text(self._done / max(now - self._began, 1e-3))
        self._say(f"Downloading {self._name}: {done} of {size_text(self._total)} ({share:.0%}), {rate}/s.")

    def finish(self) -> None:
        """Say how long it took."""
        self._say(f"Downloaded {self._name} in {time.monotonic() - self._began:.1f} s.")


def size_text(size_bytes: float) -> str:
    """A size as one reads it: `98 MB`, `1.2 GB`.

    >>> size_text(98_300_000), size_text(1_240_000_000), size_text(512)
    ('98 MB', '1.2 GB', '512 bytes')
    """
    if size_bytes < _STEP:
        return f"{size_bytes:.0f} bytes"
    size = float(size_bytes)
    for unit in _UNITS:
        size /= _STEP
        # What would be rounded up to 1000 is 1.0 of the next unit.
        if size < _STEP - 0.5 or unit == _UNITS[-1]:
            break
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"  # noqa: PLR2004 - two digits are enough
