"""One socket → one websocket route."""

import asyncio
import contextlib
import inspect
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import starlette.websockets
from fastapi import params
from starlette.exceptions import HTTPException, WebSocketException
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from chutes.chute.websocket import Socket
from chutes.errors import DefinitionError
from chutes.loading.type_hints import read_hints
from chutes.serve.exchange import shown_path
from chutes.serve.failures import cancelled_from_outside, log_failure, wants_errors

if TYPE_CHECKING:
    from chutes.serve.app import ServedChute

__all__ = ["add_socket_route"]

_SOCKET = "chute_websocket"
_UNSUPPORTED_DATA = 1003
_INTERNAL_ERROR = 1011


def add_socket_route(served: "ServedChute", socket: Socket) -> None:
    """Add the route of `socket` to the chute's application.

    Raises:
        DefinitionError: FastAPI cannot fill a parameter of the function.
    """
    try:
        served.app.router.add_api_websocket_route(socket.path, _endpoint(served, socket), name=socket.name)
    except DefinitionError:
        raise
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        # FastAPI's and pydantic's own errors are RuntimeErrors.
        raise DefinitionError(f"Websocket {socket.name!r} cannot be served: {error}") from error


def _endpoint(served: "ServedChute", socket: Socket) -> Callable[..., Any]:
    hints = read_hints(socket.function, f"websocket {socket.name!r}")
    wanted = list(inspect.signature(socket.function).parameters.values())[1:]
    wanted = [one for one in wanted if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    own = next((one.name for one in wanted if _is_websocket(one, hints.get(one.name))), None)
    if (
        own is None
        and wanted
        and wanted[0].name not in hints
        and not isinstance(wanted[0].default, params.Param)
    ):
        # `(self, websocket)` without a hint: the first parameter is what a websocket function is about.
        own = wanted[0].name
    positional = [one.name for one in wanted if one.kind is one.POSITIONAL_ONLY]
    others = [
        one.replace(annotation=hints.get(one.name, one.annotation), kind=inspect.Parameter.KEYWORD_ONLY)
        for one in wanted
        if one.name != own
    ]
    connection = inspect.Parameter(_SOCKET, inspect.Parameter.KEYWORD_ONLY, annotation=WebSocket)

    async def endpoint(**values: Any) -> None:
        websocket: WebSocket = values.pop(_SOCKET)
        websocket.close = partial(_close, websocket, websocket.close)  # type: ignore[method-assign] # closing twice is harmless
        if own is not None:
            values[own] = websocket
        await _run(served, socket, websocket, [values.pop(name) for name in positional], values)

    endpoint.__name__ = socket.name
    endpoint.__signature__ = inspect.Signature([connection, *others])  # type: ignore[attr-defined] # inspect's own protocol
    return endpoint


async def _run(
    served: "ServedChute", socket: Socket, websocket: WebSocket, positional: list[Any], named: dict[str, Any]
) -> None:
    try:
        await socket.function(served.chute, *positional, **named)
    except WebSocketDisconnect:
        # The client left while the function waited for it: a usual end.
        return
    except (HTTPException, WebSocketException):
        raise
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if cancelled_from_outside(error):
            raise
        if _is_wrong_kind(error):
            served.logger.info(
                "The client of websocket %s sent a frame of the wrong kind.", shown_path(websocket.scope)
            )
            await websocket.close(_UNSUPPORTED_DATA)
            return
        advice = (
            " (write `await websocket.accept()` before it sends)" if _sent_too_early(websocket, error) else ""
        )
        log_failure(served.logger, f"The websocket {shown_path(websocket.scope)} failed{advice}", error)
        await websocket.close(_INTERNAL_ERROR)
        if wants_errors(websocket.scope):
            raise
    else:
        await websocket.close()


async def _close(
    websocket: WebSocket, close: Callable[[int, str | None], Any], code: int = 1000, reason: str | None = None
) -> None:
    ended = WebSocketState.DISCONNECTED
    if (
        ended in (websocket.application_state, websocket.client_state)
        or websocket.application_state is WebSocketState.RESPONSE
    ):
        return
    # The server noticed before us that the client left: then there is nothing to close.
    with contextlib.suppress(WebSocketDisconnect, OSError):
        await close(code, reason)


def _is_wrong_kind(error: BaseException) -> bool:
    """Whether Starlette looked for text in a binary frame, or for bytes in a text frame."""
    return isinstance(error, KeyError) and error.args in (("text",), ("bytes",)) and _is_of_starlette(error)


def _sent_too_early(websocket: WebSocket, error: BaseException) -> bool:
    """Whether Starlette refused to send because the function has not accepted the connection."""
    waits = websocket.application_state is WebSocketState.CONNECTING
    return waits and isinstance(error, RuntimeError) and _is_of_starlette(error)


def _is_of_starlette(error: BaseException) -> bool:
    """Whether Starlette's websocket raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == starlette.websockets.__file__


def _is_websocket(parameter: inspect.Parameter, hint: Any) -> bool:
    return (
        inspect.isclass(hint)
        and issubclass(hint, WebSocket)
        and not isinstance(parameter.default, params.Depends)
    )
