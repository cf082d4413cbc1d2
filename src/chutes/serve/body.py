"""The limit on the size of a request's body."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from chutes.errors import BodyTooLarge

__all__ = ["limited"]


def limited(scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> Receive:
    """A `receive` that gives at most `limit` bytes of body.

    Raises:
        BodyTooLarge: the request announces a larger body; it is refused before any of it is read.
    """
    announced = headers.get(b"content-length")
    if announced is None and scope["http_version"] == "1.1" and b"transfer-encoding" not in headers:
        return receive
    if announced is not None and announced.isdigit():
        # A server never gives more than was announced, so that the bytes need no counting.
        if int(announced) > limit:
            raise BodyTooLarge(_text(limit))
        return receive
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            # An HTTPException passes through FastAPI's reading of the body unchanged.
            raise HTTPException(BodyTooLarge.status, _text(limit))
        return message

    return counted


def _text(limit: int) -> str:
    return f"The body has more than the {limit} bytes that this chute takes (max_body_size)."
