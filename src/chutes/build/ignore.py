"""Which files `.dockerignore` keeps out, by Docker's own rules."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chutes.errors import BuildError

__all__ = ["NAMES", "Ignored"]

NAMES = (".containerignore", ".dockerignore")


@dataclass(frozen=True, slots=True)
class Ignored:
    """The rules of one ignore file, in its order: the last one that matches decides.

    Attributes:
        rules: what a path from the file's folder has to look like, and whether it stays out then.
    """

    rules: tuple[tuple[re.Pattern[str], bool], ...] = ()

    @classmethod
    def of(cls, folder: Path) -> "Ignored":
        """Read the ignore file of `folder`; without one nothing is ignored.

        Raises:
            BuildError: it cannot be read, or a pattern in it cannot be.
        """
        for name in NAMES:
            file = folder / name
            if file.is_file():
                try:
                    return cls.parse(file.read_text(encoding="utf-8-sig").splitlines())
                except (OSError, UnicodeDecodeError, ValueError) as exc:
                    raise BuildError(f"Cannot read '{file}': {exc}") from exc
        return cls()

    @classmethod
    def parse(cls, lines: Iterable[str]) -> "Ignored":
        """Read patterns, one a line; `!` lets in again, `#` begins a comment.

        Raises:
            ValueError: a pattern has a bracket that never ends.
        """
        rules = []
        for line in lines:
            pattern = line.strip()
            if not pattern or line.startswith("#"):
                continue
            excluded = not pattern.startswith("!")
            parts = [part for part in pattern.removeprefix("!").strip().split("/") if part not in ("", ".")]
            if parts:
                rules.append((re.compile(_regex(parts)), excluded))
        return cls(tuple(rules))

    def matches(self, path: str) -> bool:
        """Whether the file at `path`, relative with `/` between its parts, stays out."""
        ignored = False
        for pattern, excluded in self.rules:
            if excluded != ignored and pattern.match(path):
                ignored = excluded
        return ignored


def _regex(parts: list[str]) -> str:
    """The pattern also matches everything inside of a folder that it names."""
    text = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:[^/]+/)*"
        else:
            text += _part(part) + ("" if last else "/")
    return f"(?:{text})(?:/.*)?\\Z"


def _part(part: str) -> str:
    text, rest = "", part
    while rest:
        if rest.startswith("**"):
            text, rest = f"{text}.*", rest[2:]
        elif rest[0] == "*":
            text, rest = f"{text}[^/]*", rest[1:]
        elif rest[0] == "?":
            text, rest = f"{text}[^/]", rest[1:]
        elif rest[0] == "\\" and len(rest) > 1:
            text, rest = text + re.escape(rest[1]), rest[2:]
        elif rest[0] == "[":
            inside, rest = _bracket(rest)
            text += inside
        else:
            text, rest = text + re.escape(rest[0]), rest[1:]
    return text


def _bracket(rest: str) -> tuple[str, str]:
    end = rest.find("]", 2)
    if end < 0:
        raise ValueError(f"the pattern {rest!r} has '[' without ']'")
    inside = rest[1:end]
    negated = inside.startswith("^")
    body = inside.removeprefix("^").replace("\\", "\\\\").replace("[", "\\[")
    return f"[{'^/' if negated else ''}{body}]", rest[end + 1 :]
