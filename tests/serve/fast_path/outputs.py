"""Cords that answer in every form: with results, streams and errors, chosen by what the body asks for."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import BackgroundTasks, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.responses import Response

from serve.fast_path import streams
from serve.fast_path.results import (
    RESULTS,
    Answer,
    Asked,
    FromHandlerError,
    HandlerFailsError,
    OwnError,
    fail,
)


def returns(name: str, *, threaded: bool = False) -> Callable[..., Any]:
    """A cord's function that returns what is asked for."""

    def make(self: Any, item: Asked) -> Any:
        self.seen.append(item.kind)
        return RESULTS[item.kind]()

    async def wait(self: Any, item: Asked) -> Any:
        return make(self, item)

    chosen = make if threaded else wait
    chosen.__name__ = name
    return chosen


async def raises(self: Any, item: Asked) -> Any:
    self.seen.append(item.kind)
    fail(item.kind)


def raises_in_a_thread(self: Any, item: Asked) -> Any:
    self.seen.append(item.kind)
    fail(item.kind)


async def with_background(self: Any, item: Asked, tasks: BackgroundTasks) -> Any:
    tasks.add_task(self.seen.append, "background")
    return RESULTS[item.kind]()


ANSWERS: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "checked": {"output_schema": Answer},
    "checked_list": {"output_schema": list[Answer]},
    "checked_dict": {"output_schema": dict[str, Any]},
    "checked_text": {"output_schema": Answer, "output_content_type": "text/x"},
    "as_text": {"output_content_type": "text/plain"},
    "as_xml": {"output_content_type": "application/xml; charset=utf-8"},
    "as_problem": {"output_content_type": "application/problem+json"},
    "as_bytes": {"output_content_type": "application/octet-stream"},
    "as_png": {"output_content_type": "image/png"},
    "created": {"status_code": 201},
    "emptied": {"status_code": 204},
    "unchanged": {"status_code": 304},
    "teapot": {"status_code": 418, "output_schema": Answer},
    "may_stream": {"stream": True},
    "cancelled": {"on_disconnect": "cancel"},
}


def define(chute: Any) -> None:
    """Give the chute the cords."""
    for name, options in ANSWERS.items():
        chute.cord(f"/{name}", **options)(returns(name))
    chute.cord("/threaded")(returns("threaded", threaded=True))
    chute.cord("/raises")(raises)
    chute.cord("/raises_in_a_thread")(raises_in_a_thread)
    chute.cord("/with_background")(with_background)
    streams.define(chute)


def define_with_handlers(chute: Any) -> None:
    """The same, with handlers that read the request and note what they see."""
    define(chute)
    app = chute.app

    async def handle(request: Request, error: Exception) -> Response:
        body = await request.body()
        chute.seen.append(
            (type(error).__name__, str(error), body, request.scope["route"].path, request.path_params)
        )
        chute.seen.append((await request.json(), request.state.request_id, request.url_for("openapi").path))
        return JSONResponse({"handled": type(error).__name__}, 499, {"x-handled": "1"})

    def handle_in_a_thread(request: Request, error: Exception) -> Response:
        chute.seen.append((type(error).__name__, str(error)))
        return PlainTextResponse("in a thread", 400)

    async def fail(request: Request, error: Exception) -> Response:
        chute.seen.append("fails")
        raise FromHandlerError("from a handler") from error

    async def handle_unread(request: Request, error: Exception) -> Response:
        # FastAPI calls it further out, with a request whose body was read elsewhere: to read it would take for ever.
        chute.seen.append((type(error).__name__, str(error), request.scope["route"].path))
        return JSONResponse({"handled": type(error).__name__}, 498)

    async def say(request: Request, error: Exception) -> Response:
        text = re.sub("0x[0-9A-Fa-f]+", "an address", str(error))
        chute.seen.append(("last", type(error).__name__, text, request.scope.get("path_params")))
        return JSONResponse({"last": type(error).__name__}, 500)

    app.add_exception_handler(OwnError, handle)
    app.add_exception_handler(RequestValidationError, handle)
    app.add_exception_handler(TimeoutError, handle_in_a_thread)
    app.add_exception_handler(HandlerFailsError, fail)
    app.add_exception_handler(FromHandlerError, handle_unread)
    app.add_exception_handler(410, handle)
    app.add_exception_handler(Exception, say)
