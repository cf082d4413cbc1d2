"""One step of a recipe, and the checks that its values share."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from chutes.errors import DefinitionError

__all__ = ["Step", "as_path", "as_words", "one_line", "some_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a recipe.

    Attributes:
        text: Dockerfile instructions, without the end of the last line.
        sources: files, folders or patterns that the step takes from the build context.
        exclude: patterns of files among `sources` that stay out.
        folder: where `sources` are found; None for the folder of the chute's file.
    """

    text: str
    sources: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    folder: str | None = None


def some_text(what: str, value: object) -> str:
    """Return text that a file can hold.

    Raises:
        DefinitionError: it is no text, or has a character that no file can hold.
    """
    if not isinstance(value, str):
        raise DefinitionError(f"Invalid {what} {value!r}. Write text.")
    if "\0" in value or not _encodable(value):
        raise DefinitionError(f"Invalid {what} {value!r}. It has a character that no Dockerfile can hold.")
    return value


def one_line(what: str, value: object) -> str:
    """Return text that one line can hold; it may be empty.

    Raises:
        DefinitionError: it is no text, or has the end of a line in it.
    """
    text = some_text(what, value)
    if "\n" in text or "\r" in text:
        raise DefinitionError(
            f"Invalid {what} {text!r}. A Dockerfile cannot hold the end of a line there:"
            " put the text into a file and add() that."
        )
    return text


def as_path(what: str, value: str | os.PathLike[str]) -> str:
    """Return a path as text.

    Raises:
        DefinitionError: it is empty, or no path.
    """
    path = one_line(what, os.fspath(value) if isinstance(value, os.PathLike) else value)
    if not path or path != path.strip():
        raise DefinitionError(f"Invalid {what} {path!r}. Write a path such as 'app/model.bin'.")
    return path


def as_words(what: str, values: Iterable[str | Iterable[str]]) -> list[str]:
    """Return the words that `what` got one by one or as lists.

    Raises:
        DefinitionError: there are none, or one is no text.
    """
    words: list[str] = []
    for value in values:
        words += [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
    if not words:
        raise DefinitionError(f"{what} got nothing. Pass one or more texts.")
    return [one_line(f"part of {what}", word) for word in words]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
