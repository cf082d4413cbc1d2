"""Finding a cord in a chute's OpenAPI document."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chutes.errors import CallRejected

__all__ = ["Operation", "find", "method_of", "operations"]

_METHODS = ("post", "get", "put", "patch", "delete", "head", "options")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, with the name of the function behind it as far as the document tells it."""

    name: str
    path: str
    method: str


def operations(schema: dict[str, Any]) -> Iterator[Operation]:
    """Every operation of an OpenAPI document; of one path, POST first."""
    for path, item in schema.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                identifier = item[method].get("operationId", "")
                name = _function_name(identifier, path, method)
                yield Operation(name=name, path=path, method=method.upper())


def find(schema: dict[str, Any], name: str, method: str | None) -> Operation:
    """The operation whose function, operation id or path has this name.

    Raises:
        CallRejected: there is none, or more than one path has it.
    """
    known = list(operations(schema))
    found = [each for each in known if name in (each.name, each.path.lstrip("/"))]
    if method is not None:
        found = [each for each in found if each.method == method]
    if not found:
        raise CallRejected(_unknown(name, method, known))
    paths = sorted({each.path for each in found})
    if len(paths) > 1:
        raise CallRejected(
            f"{name!r} is the name of several cords: {', '.join(paths)}. Call one by its path."
        )
    return found[0]


def method_of(schema: dict[str, Any], path: str) -> str | None:
    """The method that `path` takes; None when it takes several, or is not listed."""
    bare = path.partition("?")[0]
    known = list(operations(schema))
    methods = [each.method for each in known if each.path == bare]
    methods = methods or [each.method for each in known if _covers(each.path, bare)]
    return methods[0] if len(methods) == 1 else None


def _function_name(identifier: str, path: str, method: str) -> str:
    # FastAPI's default operation id is the function's name, its path and its method, joined by '_'.
    return identifier.removesuffix(re.sub(r"\W", "_", path) + "_" + method)


def _covers(template: str, path: str) -> bool:
    pattern = re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(template))
    return re.fullmatch(pattern, path) is not None


def _unknown(name: str, method: str | None, known: list[Operation]) -> str:
    names = sorted({each.name or each.path for each in known})
    close = difflib.get_close_matches(name, names, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    with_method = f" with the method {method}" if method else ""
    return f"The chute has no cord {name!r}{with_method}.{guess} It has: {', '.join(names) or 'none'}."
