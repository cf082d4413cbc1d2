"""The words of `chutes call` on the command line: an address, arguments, a body."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["UsageError", "address", "arguments_of", "body_of"]

_ITEM = re.compile(r"(?P<name>[^=:@]+)(?P<kind>:=@|:=|=@|=|@)(?P<value>.*)", re.DOTALL)
_HOST_AND_PORT = re.compile(r"(?P<host>[\w.-]*|\[[\da-fA-F:]+\]):(?P<port>\d+)(?P<path>[/?].*)?")
_FORMS = "Write name=text, name:=json, name@file to upload, name=@file or name:=@file."


class UsageError(Exception):
    """The command line cannot be understood."""


def address(target: str, default_url: str) -> tuple[str, str]:
    """The chute's address, and what to call there.

    Args:
        target: a URL, `host:port/path`, a path, or the name of a cord.
        default_url: the address where the target has none.

    Raises:
        UsageError: the target is an address without a path.
    """
    short = _HOST_AND_PORT.fullmatch(target)
    if short:
        target = f"http://{short['host'] or '127.0.0.1'}:{short['port']}{short['path'] or ''}"
    if not target.startswith(("http://", "https://")):
        return default_url, target
    parts = urlsplit(target)
    if not parts.path:
        raise UsageError(
            f"{target} names no cord. Add its path, for example {parts.scheme}://{parts.netloc}/generate."
        )
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path}{query}"


def arguments_of(items: Sequence[str]) -> dict[str, Any]:
    """The arguments that `name=value` items stand for; a name given more than once has a list.

    Raises:
        UsageError: an item has no such form, its JSON is wrong, or its file cannot be read.
    """
    given: dict[str, list[Any]] = {}
    for item in items:
        name, value = _argument(item)
        given.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in given.items()}


def body_of(text: str, option: str = "--json") -> Any:
    """The JSON value of an option: the text itself, `@file`, or `-` for standard input.

    Raises:
        UsageError: it is not JSON, or the file cannot be read.
    """
    if text == "-":
        return _json(sys.stdin.read(), "standard input")
    if text.startswith("@"):
        return _json(_text_of(text[1:], option), text[1:])
    return _json(text, option)


def _argument(item: str) -> tuple[str, Any]:
    found = _ITEM.fullmatch(item)
    if not found:
        raise UsageError(f"Invalid argument {item!r}. {_FORMS}")
    name, kind, value = found["name"], found["kind"], found["value"]
    if kind == "@":
        return name, _file(value, name)
    if kind.endswith("@"):
        value = _text_of(value, name)
    return name, _json(value, name) if kind.startswith(":=") else value


def _json(text: str, source: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise UsageError(
            f"{source} is not JSON: {exc}. For a text argument write name=text, with one sign."
        ) from exc


def _file(value: str, name: str) -> Path:
    path = Path(value).expanduser()
    if not path.is_file():
        raise UsageError(f"The file of {name} is not there: {value!r}.")
    return path


def _text_of(value: str, name: str) -> str:
    try:
        return _file(value, name).read_text(encoding="utf-8")
    except ValueError as exc:
        raise UsageError(
            f"The file of {name} is not text: {value!r}. To upload it write {name}@{value}."
        ) from exc
