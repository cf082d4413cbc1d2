"""Questions to what runs: is an instance ready, and what does a front do."""

import http.client
import json
import socket
from typing import Any

__all__ = ["front_status", "is_ready"]

_HOST = "127.0.0.1"
_SECONDS = 2.0
_CHUNK = 65_536


def is_ready(port: int) -> bool:
    """Whether an instance on this port of the loopback address says that it is ready."""
    connection = http.client.HTTPConnection(_HOST, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/readyz", headers={"Connection": "close"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def front_status(control: int) -> dict[str, Any] | None:
    """What a front says of itself; it has read its file a moment before. None when it does not answer."""
    said = b""
    try:
        with socket.create_connection((_HOST, control), timeout=_SECONDS) as connection:
            while chunk := connection.recv(_CHUNK):
                said += chunk
        status = json.loads(said)
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) and "generation" in status else None
