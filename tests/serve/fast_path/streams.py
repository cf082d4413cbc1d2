"""Cords that stream every kind of chunk, and break where the body asks for it."""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import StreamingResponse
from fastapi.sse import ServerSentEvent
from starlette.background import BackgroundTask

from serve.fast_path.inputs import named
from serve.fast_path.results import Answer, Asked, Derived, fail

CHUNKS: Mapping[str, tuple[Any, ...]] = {
    "texts": ("one", "two\nlines", "", "data: framed\n\n", ": a comment\n\n"),
    "bytes": (b"one", b"", bytearray(b"two")),
    "dicts": ({"a": 1}, {"b": [None]}),
    "models": (Answer(), Derived()),
    "mixed": ("text", {"a": 1}, b"bytes", 3, None),
    "numbers": (1, 2.5, float("nan")),
    "events": (ServerSentEvent(data={"a": 1}, event="e", id="1"), ServerSentEvent(comment="c")),
    "nothing": (),
    "unfit": ("text", object()),
}


async def streams(self: Any, item: Asked):
    self.seen.append(item.kind)
    try:
        for number, chunk in enumerate((*CHUNKS[item.kind], None)):
            if number == item.fail_at:
                fail(item.error)
            if number < len(CHUNKS[item.kind]):
                yield chunk
    finally:
        self.seen.append("closed")


def streams_in_a_thread(self: Any, item: Asked):
    self.seen.append(item.kind)
    try:
        for number, chunk in enumerate((*CHUNKS[item.kind], None)):
            if number == item.fail_at:
                fail(item.error)
            if number < len(CHUNKS[item.kind]):
                yield chunk
    finally:
        self.seen.append("closed")


async def returns_a_stream(self: Any, item: Asked) -> Any:
    self.seen.append(item.kind)
    return streams(self, item)


async def returns_a_response(self: Any, item: Asked) -> Any:
    self.seen.append(item.kind)
    return StreamingResponse(
        streams(self, item), headers={"x-a": "1"}, background=BackgroundTask(self.seen.append, "background")
    )


STREAMS: Mapping[str, dict[str, Any]] = {
    "": {},
    "_lines": {"output_content_type": "application/x-ndjson"},
    "_events": {"output_content_type": "text/event-stream"},
    "_text": {"output_content_type": "text/plain"},
    "_kept": {"on_disconnect": "finish"},
}
STREAMERS = (streams, streams_in_a_thread, returns_a_stream, returns_a_response)
STREAM_NAMES = tuple(f"{function.__name__}{ending}" for function in STREAMERS for ending in STREAMS)


def define(chute: Any) -> None:
    """Give the chute the cords."""
    for function in STREAMERS:
        for ending, options in STREAMS.items():
            name = f"{function.__name__}{ending}"
            chute.cord(f"/{name}", stream=True, **options)(named(name, function))
