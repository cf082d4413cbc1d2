"""The output of a child process, cut into lines of bounded length."""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable

__all__ = ["Output"]

logger = logging.getLogger("chutes.processes")

_LONGEST_LINE = 8192
_KEPT_LINES = 200
# A progress bar redraws its line with carriage returns: each drawing is a line here.
_LINE_END = re.compile(rb"[\r\n]+")


class Output:
    """Takes bytes as they come, hands on each line, and keeps the last ones.

    Empty lines are dropped, a line over 8192 bytes comes in pieces, bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._tail: deque[str] = deque(maxlen=_KEPT_LINES)
        self._waiting: list[tuple[re.Pattern[str], asyncio.Future[str]]] = []

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        for line in lines:
            self._pieces(line)
        if len(self._rest) >= _LONGEST_LINE:
            self.close()

    def close(self) -> None:
        """Hand on what came without a line end."""
        rest, self._rest = self._rest, b""
        self._pieces(rest)

    def tail(self, lines: int) -> tuple[str, ...]:
        """The last lines, at most `lines` and at most 200, the newest last."""
        return tuple(self._tail)[-lines:] if lines > 0 else ()

    async def seen(self, pattern: re.Pattern[str]) -> str:
        """Wait for a line in which `pattern` is found, the kept ones included, and return it."""
        for line in self._tail:
            if pattern.search(line):
                return line
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        entry = (pattern, found)
        self._waiting.append(entry)
        try:
            return await found
        finally:
            self._waiting.remove(entry)

    def _pieces(self, line: bytes) -> None:
        for start in range(0, len(line), _LONGEST_LINE):
            self._line(line[start : start + _LONGEST_LINE].decode("utf-8", errors="replace"))

    def _line(self, line: str) -> None:
        self._tail.append(line)
        for pattern, found in self._waiting:
            if pattern.search(line) and not found.done():
                found.set_result(line)
        try:
            self._on_line(line)
        except Exception:
            # A process edge: a reader that fails must not stop the pump, or the child's next write blocks.
            logger.exception("The reader of a child's output failed at the line %r.", line)
