"""The value, or the items of a stream, out of the bytes of an answer."""

import codecs
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpx2

from chutes.client.answer import connection_error, failure, readable
from chutes.errors import CallFailed

__all__ = [
    "JSON_LINES",
    "Decoder",
    "Lines",
    "decoder_for",
    "items",
    "media_type",
    "stream_errors",
    "streams",
    "value_of",
]

_EVENTS = "text/event-stream"
JSON_LINES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/json-lines",
        "application/jsonlines",
    }
)
"""The media types of one JSON value a line."""
_END_OF_COMPLETION = "[DONE]"


class Decoder(Protocol):
    """Turns the chunks of one answer into items."""

    def feed(self, chunk: bytes) -> list[Any]:
        """The items that `chunk` completes."""

    def finish(self) -> list[Any]:
        """The items that the end of the answer completes."""


def media_type(response: httpx2.Response) -> str:
    """The media type of an answer in lower case, without its parameters; empty when it has none."""
    kind: str = response.headers.get("Content-Type", "")
    return kind.partition(";")[0].strip().lower()


def streams(response: httpx2.Response) -> bool:
    """Whether an answer comes as a stream of items, as far as its headers tell.

    Events and lines of JSON are streams; so is all else of unknown length, except one JSON value.
    """
    media = media_type(response)
    if media == _EVENTS or media in JSON_LINES:
        return True
    return "Content-Length" not in response.headers and not _is_json(media)


def value_of(response: httpx2.Response) -> Any:
    """The value of a good answer that has been read whole.

    That is JSON's value, a str for text, a list of the items of a stream of events or JSON lines, else bytes;
    None when the answer is empty.

    Raises:
        CallFailed: the answer should be JSON and is not, or the stream has an error event.
    """
    media = media_type(response)
    if not response.content:
        return None
    if media == _EVENTS or media in JSON_LINES:
        return list(items(response))
    if _is_json(media):
        return _decoded(response, response.content)
    return response.text if media.startswith("text/") else response.content


def decoder_for(response: httpx2.Response) -> Decoder:
    """The decoder for an answer's content type."""
    media = media_type(response)
    if media == _EVENTS:
        return _Events(response)
    if media in JSON_LINES:
        return _JsonLines(response)
    if _is_json(media):
        return _OneValue(response)
    if media.startswith("text/"):
        return _Text(response.charset_encoding)
    return _Bytes()


def items(response: httpx2.Response) -> Iterator[Any]:
    """The items of a good answer, read or unread: what `Client.stream` yields.

    Raises:
        CallFailed: the chute reported an error in the stream, or the stream broke off.
        ConnectionFailed: nothing came for longer than the timeout.
    """
    decoder = decoder_for(response)
    with stream_errors(response):
        for chunk in response.iter_bytes():
            yield from decoder.feed(chunk)
        yield from decoder.finish()


@contextmanager
def stream_errors(response: httpx2.Response) -> Iterator[None]:
    """Turn what goes wrong while a body is read into the errors of `items`."""
    try:
        yield
    except httpx2.TimeoutException as exc:
        raise connection_error(exc, response.request) from exc
    except httpx2.RequestError as exc:
        # A chute whose code fails in mid-stream has no other way to say so than to leave it unfinished.
        raise failure(response, f"broke off before the end of its answer ({exc})") from exc


class Lines:
    """Cuts bytes into lines at LF, CR and CRLF, and at no other character: those may stand inside JSON."""

    def __init__(self) -> None:
        self._unfinished: list[bytes] = []
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their ends."""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n") if chunk else chunk
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        lines = chunk.splitlines(keepends=True)
        unfinished = [] if lines[-1].endswith((b"\r", b"\n")) else [lines.pop()]
        if lines:
            lines[0] = b"".join([*self._unfinished, lines[0]])
            self._unfinished = unfinished
        else:
            self._unfinished += unfinished
        return [line.rstrip(b"\r\n") for line in lines]

    def finish(self) -> bytes:
        """What came after the last end of a line."""
        return b"".join(self._unfinished)


class _Events:
    """Server-sent events: the JSON, else the text, of each `data`."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._lines = Lines()
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Any]:
        found = []
        for line in self._lines.feed(chunk):
            if line:
                self._field(line.decode(errors="replace"))
            else:
                found += self._dispatch()
        return found

    def finish(self) -> list[Any]:
        # An event without its closing empty line is incomplete, and the standard drops it.
        return []

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)

    def _dispatch(self) -> list[Any]:
        event, data = self._event, self._data
        self._event, self._data = "", []
        text = "\n".join(data)
        if event == "error":
            raise self._failure(text)
        # '[DONE]' is how OpenAI's protocol says that a completion is over: a mark, not an item.
        return [] if not data or text == _END_OF_COMPLETION else [_json_or_text(text)]

    def _failure(self, text: str) -> CallFailed:
        body = _json_or_text(text)
        detail = body.get("detail", body) if isinstance(body, dict) else body
        return failure(self._response, f"failed in mid-stream: {readable(detail).rstrip('.')}", detail)


class _JsonLines:
    """One JSON value on each line."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._lines = Lines()

    def feed(self, chunk: bytes) -> list[Any]:
        return [_decoded(self._response, line) for line in self._lines.feed(chunk) if line.strip()]

    def finish(self) -> list[Any]:
        line = self._lines.finish()
        return [_decoded(self._response, line)] if line.strip() else []


class _OneValue:
    """A whole answer of JSON: one item."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Any]:
        self._chunks.append(chunk)
        return []

    def finish(self) -> list[Any]:
        content = b"".join(self._chunks)
        return [_decoded(self._response, content)] if content else []


class _Text:
    """Text, in the pieces in which it comes; never half a character."""

    def __init__(self, charset: str | None) -> None:
        self._decoder = codecs.getincrementaldecoder(_known(charset))(errors="replace")

    def feed(self, chunk: bytes) -> list[Any]:
        text = self._decoder.decode(chunk)
        return [text] if text else []

    def finish(self) -> list[Any]:
        text = self._decoder.decode(b"", final=True)
        return [text] if text else []


class _Bytes:
    """Bytes, in the pieces in which they come."""

    def feed(self, chunk: bytes) -> list[Any]:
        return [chunk] if chunk else []

    def finish(self) -> list[Any]:
        return []


def _decoded(response: httpx2.Response, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as exc:
        shown = content[:80].decode(errors="replace")
        raise failure(response, f"sent what should be JSON and is not ({exc}): {shown!r}") from exc


def _is_json(media: str) -> bool:
    return media == "application/json" or media.endswith("+json")


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _known(charset: str | None) -> str:
    try:
        return codecs.lookup(charset or "utf-8").name
    except LookupError:
        return "utf-8"
