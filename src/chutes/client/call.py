"""A call as a value, and the request that it becomes."""

import enum
import io
import json
import os
import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeGuard
from urllib.parse import quote, urlencode

from chutes.client.plain import field_text, field_texts, to_json
from chutes.errors import CallRejected

__all__ = ["ABSENT", "Absent", "Call", "request_parts"]

_QUERY_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_TOKEN = re.compile(r"[A-Z]+")
_BRACES = re.compile(r"\{(\w+)(?::(\w+))?\}")
_UPLOAD_PARTS = (2, 3)


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""No body was given: unlike None, which is JSON's null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to call, and with what.

    Attributes:
        target: a path such as `/embed`, in which `{name}` stands for an argument, or the name of a cord.
        body: the whole body: a JSON value, or bytes that are sent as they are.
        arguments: arguments by name; a Path, an open binary file, bytes, `(filename, content)` are uploads.
        method: the HTTP method; None for the one that the chute lists, POST when it lists none.
        headers: headers of this call alone.
    """

    target: str
    body: Any = ABSENT
    arguments: Mapping[str, Any] = field(default_factory=dict)
    method: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.target or "://" in self.target.partition("?")[0]:
            raise CallRejected(
                f"Invalid target {self.target!r}. A target is a path such as '/embed' or the name of a cord "
                "such as 'embed'; the chute's address goes to the client: Client('http://127.0.0.1:8000')."
            )
        if self.method is not None:
            if not _TOKEN.fullmatch(self.method.upper()):
                raise CallRejected(
                    f"Invalid method {self.method!r}. Write an HTTP method, for example 'GET'."
                )
            object.__setattr__(self, "method", self.method.upper())

    @property
    def by_path(self) -> bool:
        """Whether the target is a path, not a name."""
        return self.target.startswith("/")


def request_parts(call: Call, path: str, method: str, files: ExitStack) -> dict[str, Any]:
    """The keywords of `httpx2.Client.build_request` for `call`.

    Args:
        call: what to send.
        path: where; its braces are filled from the arguments.
        method: decides whether arguments go in the query or in the body.
        files: closes the files that are opened here, once the request is sent.

    Raises:
        CallRejected: the arguments do not make a request.
        OSError: a file to upload cannot be opened.
    """
    url, arguments = _fill(path, call.arguments)
    if call.body is not ABSENT and arguments:
        raise CallRejected(
            f"The call of {path} has a whole body and also {_listed(arguments)} by name. Put all into the "
            f"body, or write the query into the path: '{path}?name=value'."
        )
    if method in _QUERY_METHODS:
        return _query(call, url, arguments, method)
    return {"url": url, **_body(call, arguments, files)}


def _fill(path: str, arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    names = {name for name, _ in _BRACES.findall(path)}
    missing = sorted(names - arguments.keys())
    if missing:
        raise CallRejected(
            f"The path {path} needs {_listed(missing)}. Give each by name, for example {missing[0]}=1."
        )
    filled = _BRACES.sub(lambda found: _segment(found[1], arguments[found[1]], found[2]), path)
    return filled, {name: value for name, value in arguments.items() if name not in names}


def _segment(name: str, value: Any, convertor: str | None) -> str:
    text = field_text(value)
    if text in {"", ".", ".."} or (convertor == "path" and ".." in text.split("/")):
        # Such a segment changes which path is called, wherever a proxy or a server tidies paths.
        raise CallRejected(
            f"Invalid path argument {name}={text!r}. Give a value that is not empty, '.' or '..'."
        )
    return quote(text, safe="/" if convertor == "path" else "")


def _query(call: Call, url: str, arguments: dict[str, Any], method: str) -> dict[str, Any]:
    if call.body is not ABSENT:
        arguments = json.loads(to_json(call.body))
        if not isinstance(arguments, dict):
            raise CallRejected(
                f"A {method} has no body, so a {type(call.body).__name__} cannot be sent. "
                "Give the arguments by name: they go into the query."
            )
    uploads = [name for name, value in arguments.items() if _has_uploads(value)]
    if uploads:
        raise CallRejected(
            f"A {method} takes no files, but {_listed(uploads)} is one. Call with method='POST'."
        )
    pairs = [(name, text) for name, value in arguments.items() for text in field_texts(value)]
    joint = "&" if "?" in url else "?"
    return {"url": f"{url}{joint}{urlencode(pairs)}" if pairs else url}


def _body(call: Call, arguments: dict[str, Any], files: ExitStack) -> dict[str, Any]:
    if isinstance(call.body, (bytes, bytearray, memoryview)):
        return {"content": bytes(call.body), "headers": {"Content-Type": "application/octet-stream"}}
    if any(_has_uploads(value) for value in arguments.values()):
        return _form(arguments, files)
    content = to_json(arguments if call.body is ABSENT else call.body)
    return {"content": content, "headers": {"Content-Type": "application/json"}}


def _form(arguments: dict[str, Any], files: ExitStack) -> dict[str, Any]:
    fields: dict[str, list[str]] = {}
    uploads: list[tuple[str, tuple[Any, ...]]] = []
    for name, value in arguments.items():
        if not _has_uploads(value):
            fields[name] = field_texts(value)
            continue
        contents = value if isinstance(value, list) else [value]
        uploads += [(name, _upload(name, content, files)) for content in contents]
    return {"data": fields, "files": uploads}


def _has_uploads(value: Any) -> bool:
    return _is_upload(value) or (isinstance(value, list) and bool(value) and all(map(_is_upload, value)))


def _is_upload(value: Any) -> bool:
    return _is_content(value) or _is_named(value)


def _is_content(value: Any) -> bool:
    if isinstance(value, (bytes, bytearray, memoryview, os.PathLike)):
        return True
    return callable(getattr(value, "read", None))


def _is_named(value: Any) -> TypeGuard[tuple[Any, ...]]:
    if not isinstance(value, tuple) or len(value) not in _UPLOAD_PARTS:
        return False
    return isinstance(value[0], str) and _is_content(value[1])


def _upload(name: str, value: Any, files: ExitStack) -> tuple[Any, ...]:
    if _is_named(value):
        filename, content, *content_type = value
        return (filename, _content(name, content, files), *content_type)
    known = value if isinstance(value, os.PathLike) else getattr(value, "name", None)
    # A file that was opened by its number has an integer for a name.
    filename = Path(known).name if isinstance(known, (str, os.PathLike)) else name
    return filename, _content(name, value, files)


def _content(name: str, value: Any, files: ExitStack) -> Any:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, os.PathLike):
        return files.enter_context(Path(value).open("rb"))
    if isinstance(value, io.TextIOBase):
        raise CallRejected(f"The file {name!r} is open as text. Open it as bytes: open(path, 'rb').")
    # What cannot be rewound could not be sent a second time, were the call to be tried again.
    return value if getattr(value, "seekable", bool)() else value.read()


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
