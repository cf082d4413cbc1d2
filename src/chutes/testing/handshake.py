"""The request that opens a websocket, with everything that a client sends with each of its requests."""

import base64
import secrets
from collections.abc import Sequence
from typing import Any

import httpx2

__all__ = ["handshake_request"]


def handshake_request(
    client: httpx2.Client | httpx2.AsyncClient, url: str, subprotocols: Sequence[str], options: dict[str, Any]
) -> httpx2.Request:
    """The handshake of a websocket; `options` are those of `build_request`."""
    request = client.build_request("GET", url, **options)
    request.headers["connection"] = "Upgrade"
    request.headers["upgrade"] = "websocket"
    request.headers["sec-websocket-version"] = "13"
    request.headers["sec-websocket-key"] = base64.b64encode(secrets.token_bytes(16)).decode()
    if subprotocols:
        request.headers["sec-websocket-protocol"] = ", ".join(subprotocols)
    if client.auth is None:
        return request
    return next(client.auth.sync_auth_flow(request))
