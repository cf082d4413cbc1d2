"""What a stream yields → the bytes that are sent."""

from collections.abc import Callable
from typing import Any

from starlette.exceptions import HTTPException

from chutes.json_values import encode_json

__all__ = [
    "EVENT_STREAM",
    "content_type_of",
    "encoder",
    "error_event",
    "framed_event",
    "is_event_stream",
    "looks_like_event",
]

EVENT_STREAM = "text/event-stream"
_JSON_LINES = ("application/jsonl", "application/x-ndjson", "application/ndjson", "application/json-lines")
# Written as `bytes | bytearray | memoryview` where it is asked for, it would be made anew for every chunk.
_BYTES = (bytes, bytearray, memoryview)
_EVENT_FIELDS = ("data:", "event:", "id:", "retry:")


def is_event_stream(content_type: str | None) -> bool:
    """Whether a content type is that of server-sent events."""
    return content_type is not None and _media_type(content_type) == EVENT_STREAM


def framed_event(text: str) -> str:
    """One server-sent event with `text` as its data; text that already is an event stays as it is.

    The format is that of the HTML standard, section 9.2 (server-sent events).
    """
    # A lone ":" may be an empty comment, but a language model says it too.
    is_comment = text.startswith(":") and text.endswith("\n\n") and text.strip() != ":"
    if is_comment or (text.startswith(_EVENT_FIELDS) and text.endswith("\n")):
        return text
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "".join(f"data: {line}\n" for line in lines) + "\n"


def looks_like_event(text: str) -> bool:
    """Whether somebody seems to have framed an event by hand."""
    return text.startswith(("data:", "event:"))


def encoder(content_type: str) -> Callable[[Any], bytes]:
    """What turns a chunk into bytes in a stream of this content type."""
    media_type = _media_type(content_type)
    if media_type == EVENT_STREAM:
        return _event_bytes
    if media_type in _JSON_LINES:
        return lambda chunk: chunk if isinstance(chunk, bytes) else _text_or_json(chunk, end=b"\n")
    return lambda chunk: bytes(chunk) if isinstance(chunk, _BYTES) else _text_or_json(chunk)


def _event_bytes(chunk: Any) -> bytes:
    if type(chunk) is dict:
        # The most common kind comes first.
        return b"data: " + encode_json(chunk) + b"\n\n"
    if isinstance(chunk, _BYTES):
        return bytes(chunk)
    if isinstance(chunk, str):
        return framed_event(chunk).encode(errors="replace")
    if type(chunk).__name__ == "ServerSentEvent":
        return _fastapi_event(chunk)
    return b"data: " + encode_json(chunk) + b"\n\n"


def _fastapi_event(event: Any) -> bytes:
    from fastapi.sse import format_sse_event

    data = event.raw_data
    if data is None and event.data is not None:
        data = encode_json(event.data).decode()
    return format_sse_event(
        data_str=data, event=event.event, id=event.id, retry=event.retry, comment=event.comment
    )


def _text_or_json(chunk: Any, end: bytes = b"") -> bytes:
    if isinstance(chunk, str):
        return chunk.encode(errors="replace")
    return encode_json(chunk) + end


def content_type_of(first: Any) -> str:
    """The content type of a stream that begins with this chunk."""
    if isinstance(first, _BYTES):
        return "application/octet-stream"
    return "text/plain" if isinstance(first, str) else EVENT_STREAM


def error_event(error: Exception, request_id: str | None) -> bytes:
    """The last event of a stream that fails; clients of OpenAI's protocol look for `error` in it."""
    body: dict[str, Any] = {"detail": "Internal Server Error"}
    if isinstance(error, HTTPException):
        body = {"detail": error.detail, "status": error.status_code}
    detail = body["detail"]
    body["request_id"] = request_id
    body["error"] = {"message": detail if isinstance(detail, str) else encode_json(detail).decode()}
    return b"event: error\ndata: " + encode_json(body) + b"\n\n"


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
