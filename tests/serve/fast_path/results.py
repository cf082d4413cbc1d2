"""What cords may return and raise, each under a name by which a body asks for it."""

import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from PIL import Image
from pydantic import BaseModel, Field, computed_field, model_validator
from starlette.background import BackgroundTask
from starlette.responses import Response


class Answer(BaseModel):
    text: str = Field(default="a", serialization_alias="the text")
    count: int = 1
    ratio: float = 0.5
    when: datetime.datetime | None = None

    @computed_field
    @property
    def twice(self) -> int:
        return self.count * 2

    @model_validator(mode="after")
    def few(self) -> "Answer":
        if self.count > 9:
            raise ValueError("too many")
        return self


class Derived(Answer):
    more: str = "more"


class Iterable(BaseModel):
    """A model that looks like a stream."""

    left: int = 2

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return f"chunk {self.left}"


@dataclasses.dataclass
class Record:
    text: str = "a"
    raw: bytes = b"b"


class Colour(enum.Enum):
    RED = "red"


class OwnResponse(Response):
    """Sends its answer in a way of its own."""

    async def __call__(self, scope, receive, send):
        await send(
            {
                "type": "http.response.start",
                "status": 202,
                "headers": [(b"x-request-id", b"mine"), (b"x-own", b"1")],
            }
        )
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})


class Broken(Response):
    """Fails before or after its answer has begun."""

    def __init__(self, begins: bool) -> None:
        super().__init__()
        self.begins = begins

    async def __call__(self, scope, receive, send):
        if self.begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OwnError("broken response")


class Awaited:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return "awaited"


class OwnError(Exception):
    """A handler is there for it."""


class OtherError(Exception):
    """No handler is there for it."""


class HandlerFailsError(Exception):
    """Its handler raises another."""


class FromHandlerError(Exception):
    """What that handler raises."""


async def fail_in_the_background() -> None:
    raise OwnError("in the background")


def _proxied(text: str) -> Any:
    return (character for character in text)


async def _texts():
    for text in ("one", "two\nlines", ""):
        yield text


def _endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


RESULTS: Mapping[str, Callable[[], Any]] = {
    "none": lambda: None,
    "text": lambda: "text ü",
    "surrogate": lambda: "half \ud83d",
    "empty": lambda: "",
    "true": lambda: True,
    "number": lambda: 3,
    "huge": lambda: 10**400,
    "float": lambda: 0.1,
    "nan": lambda: float("nan"),
    "list": lambda: [1, "a", None],
    "tuple": lambda: (1, 2),
    "set": lambda: {1},
    "dict": lambda: {"a": {"b": [1]}, 2: "two"},
    "nan inside": lambda: {"a": float("inf")},
    "surrogate inside": lambda: {"a": "\udc00"},
    "model": lambda: Answer(text="x"),
    "derived": lambda: Derived(count=2),
    "models": lambda: [Answer(), {"text": "y"}],
    "fitting": lambda: {"text": "z", "count": "3", "unknown": 1},
    "unfitting": lambda: {"count": "many"},
    "refused": lambda: Answer.model_construct(count=10),
    "constructed": lambda: Answer.model_construct(text=1, count="many"),
    "dataclass": Record,
    "enum": lambda: Colour.RED,
    "date": lambda: datetime.date(2024, 1, 1),
    "uuid": lambda: uuid.UUID(int=1),
    "decimal": lambda: decimal.Decimal("1.10"),
    "path": lambda: pathlib.PurePosixPath("/a"),
    "bytes": lambda: b"bytes",
    "not text": lambda: b"\xff",
    "bytearray": lambda: bytearray(b"bytes"),
    "memoryview": lambda: memoryview(b"bytes"),
    "array": lambda: np.array([[1, 2], [3, 4]]),
    "scalar": lambda: np.float32(0.5),
    "mapping": lambda: collections.ChainMap({"a": 1}),
    "deque": lambda: collections.deque([1]),
    "object": object,
    "picture": lambda: Image.new("RGB", (2, 2)),
    "object inside": lambda: {"a": object()},
    "endless": _endless,
    "generator": lambda: _proxied("ab"),
    "stream": _texts,
    "iterator": lambda: iter(["a"]),
    "model that streams": Iterable,
    "response": lambda: Response(b"raw", 202, {"x-a": "1"}, "text/x"),
    "response with id": lambda: Response(b"", headers={"X-Request-ID": "mine", "content-type": "a/b"}),
    "json response": lambda: JSONResponse({"a": 1}, 201),
    "plain response": lambda: PlainTextResponse("a"),
    "html response": lambda: HTMLResponse("a"),
    "redirect": lambda: RedirectResponse("/elsewhere"),
    "no content": lambda: Response(status_code=204),
    "streaming response": lambda: StreamingResponse(_texts(), 203, {"x-a": "1"}, "text/x"),
    "sync streaming response": lambda: StreamingResponse(_proxied("ab")),
    "missing file": lambda: FileResponse("/nowhere/at/all"),
    "own response": OwnResponse,
    "broken before": lambda: Broken(begins=False),
    "broken after": lambda: Broken(begins=True),
    "background": lambda: JSONResponse({}, background=BackgroundTask(_texts)),
    "failing background": lambda: JSONResponse({}, background=BackgroundTask(fail_in_the_background)),
    "a response class": lambda: Response,
    "an exception": lambda: ValueError("returned"),
    "an awaitable": Awaited,
}


ERRORS: Mapping[str, Callable[[], BaseException]] = {
    "http": lambda: HTTPException(418, {"a": 1}, {"x-a": "1"}),
    "no content": lambda: HTTPException(204),
    "gone": lambda: HTTPException(410),
    "own": lambda: OwnError("secret"),
    "own group": lambda: ExceptionGroup("several", [OwnError("secret")]),
    "other": lambda: OtherError("secret"),
    "handler fails": lambda: HandlerFailsError("secret"),
    "validation": lambda: RequestValidationError(
        [{"type": "own", "loc": ("body",), "msg": "no", "input": 1}], body={"a": 1}
    ),
    "response": lambda: ResponseValidationError([{"type": "own", "loc": ("a",), "msg": "no", "input": 1}]),
    "value": lambda: ValueError("secret"),
    "key": lambda: KeyError("secret"),
    "stop": lambda: StopIteration("secret"),
    "recursion": lambda: RecursionError("secret"),
    "timeout": lambda: TimeoutError("secret"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "secret"),
    "runtime": lambda: RuntimeError("secret"),
}


def fail(kind: str) -> None:
    """Raise what is asked for."""
    made = ERRORS[kind]()
    raise made


class Asked(BaseModel):
    """What a call of these cords asks for."""

    kind: str
    fail_at: int | None = None
    error: str = "own"
