"""What an engine prints, as records of our own log."""

import logging
import re
from collections import deque
from textwrap import shorten

__all__ = ["EngineLines", "level_of"]

logger = logging.getLogger("chutes.engine")

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# The level stands near the beginning: as a word, or as llama.cpp's single letter behind the time.
_WORD = re.compile(r"^.{0,60}?\b(DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL)\b")
_LETTER = re.compile(r"^[\d.]+ ([DIWEF]) ")
_TRACEBACK = re.compile(r"^Traceback \(most recent call last\)")
_LEVELS = {"W": logging.WARNING, "E": logging.ERROR, "C": logging.CRITICAL, "F": logging.CRITICAL}
_KEPT = 200
_ORIGIN = re.compile(
    r"^(?:\([^)]*pid=\d+\) *)?"  # a process of vLLM
    r"(?:\[[\d :,-]+[^\]]*\] *|[\d.]+ [DIWEF] (?:\w+ +)?\w+: *)?"  # the time in front, of SGLang and of llama.cpp
    r"(?:(?:DEBUG|INFO|WARN|WARNING|ERROR)\b:?(?: [\d-]+ [\d:,]+)?(?: \[[^\]]*\])? *)?"
)
_LONGEST_GIST = 110
_FRAME = re.compile(r'File ".*", line \d+')
_MARKS = re.compile(r"[\^~ ]*")
_TELLING = 20


class EngineLines:
    """Logs the lines of one engine and keeps the last.

    Warnings and errors keep their level. What the engine says for information is a detail here: it becomes DEBUG.

    Attributes:
        least: the lowest level that is kept; what is below becomes DEBUG. Engines that start or stop warn of much.
    """

    def __init__(self, name: str) -> None:
        self.least = logging.WARNING
        self._name = name
        self._in_traceback = False
        self._lines: deque[str] = deque(maxlen=_KEPT)

    @property
    def recent(self) -> tuple[str, ...]:
        """The last 200 lines, the newest last."""
        return tuple(self._lines)

    @property
    def gist(self) -> str:
        """What the newest line says, without its date and origin; empty before the first."""
        return (
            shorten(_ORIGIN.sub("", self._lines[-1]), _LONGEST_GIST, placeholder=" ...")
            if self._lines
            else ""
        )

    @property
    def telling(self) -> tuple[str, ...]:
        """The last 20 lines, those left out that tell nothing: the frames of tracebacks."""
        kept: list[str] = []
        in_frame = False
        for line in self._lines:
            text = _ORIGIN.sub("", line).strip()
            if _FRAME.match(text):
                in_frame = True
            elif in_frame:
                in_frame = False  # the source line of that frame
            elif not _MARKS.fullmatch(text):
                kept.append(line)
        return tuple(kept[-_TELLING:])

    def take(self, text: str) -> None:
        """Log the next line."""
        line = _COLOUR.sub("", text).rstrip()
        self._lines.append(line)
        level = self._level(line)
        logger.log(level if level >= self.least else logging.DEBUG, "[%s] %s", self._name, line)

    def _level(self, line: str) -> int:
        if _TRACEBACK.match(line):
            self._in_traceback = True
            return logging.ERROR
        if self._in_traceback:
            # The last line of a traceback, which names the exception, is the first that is not indented.
            self._in_traceback = line.startswith(" ")
            return logging.ERROR
        return level_of(line)


def level_of(line: str) -> int:
    """The level of a line that stands for itself.

    >>> level_of("WARNING 11-23 18:00:01 [config.py:7] slow") == logging.WARNING, level_of("0.01.2 E srv: no") == logging.ERROR
    (True, True)
    """
    found = _LETTER.match(line) or _WORD.match(line)
    return _LEVELS.get(found[1][0], logging.DEBUG) if found else logging.DEBUG
