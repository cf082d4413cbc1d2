"""What a server tells an application about a request: the ASGI scope."""

from typing import Any
from urllib.parse import unquote

import httpx2
from starlette.types import Scope

from chutes.testing.options import ServingOptions

__all__ = ["http_scope", "websocket_scope"]

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_WEBSOCKET_SCHEMES = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}


# Asks a chute for the exceptions that it has answered, which it keeps to itself otherwise.
_RAISE_ERRORS: dict[str, dict[str, object]] = {"chutes.raise_errors": {}}


def http_scope(request: httpx2.Request, options: ServingOptions, state: dict[str, Any]) -> Scope:
    """The scope of an HTTP request."""
    scope = _connection_scope(request, options, state) | {
        "type": "http",
        # uvicorn's: at 2.3 a send to a client that left does nothing, and frameworks watch for disconnects.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": request.method,
        "scheme": request.url.scheme,
    }
    if options.raise_errors:
        scope["extensions"] = _RAISE_ERRORS.copy()
    return scope


def websocket_scope(request: httpx2.Request, options: ServingOptions, state: dict[str, Any]) -> Scope:
    """The scope of a websocket whose handshake is `request`."""
    offered = request.headers.get("sec-websocket-protocol", "")
    return _connection_scope(request, options, state) | {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "scheme": _WEBSOCKET_SCHEMES[request.url.scheme],
        "subprotocols": [name.strip() for name in offered.split(",") if name.strip()],
        "extensions": {"websocket.http.response": {}} | (_RAISE_ERRORS if options.raise_errors else {}),
    }


def _connection_scope(
    request: httpx2.Request, options: ServingOptions, state: dict[str, Any]
) -> dict[str, Any]:
    url = request.url
    raw_path = url.raw_path.partition(b"?")[0]
    return {
        "http_version": "1.1",
        "path": options.root_path + unquote(raw_path.decode("ascii")),
        "raw_path": options.root_path.encode("ascii") + raw_path,
        "query_string": url.query,
        "root_path": options.root_path,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": options.client,
        "server": (url.host, url.port or _DEFAULT_PORTS[url.scheme]),
        "state": dict(state),
    }
