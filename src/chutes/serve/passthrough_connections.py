"""The pooled connections of one process to the upstreams of its passthrough cords."""

import asyncio
from collections.abc import AsyncIterator

import httpcore2
from starlette.exceptions import HTTPException

from chutes.serve.passthrough_headers import Headers
from chutes.serve.passthrough_network import Network

__all__ = ["Connections", "Refused", "Unanswered"]

CONNECT_SECONDS = 5.0
# Servers commonly close a connection that was idle for five seconds: ours is gone before, and no call meets its end.
_IDLE_SECONDS = 3.0
_REPEATABLE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
_TIMEOUT = {"timeout": {"connect": CONNECT_SECONDS}}


class Refused(Exception):  # noqa: N818 - named for the condition
    """Nothing listens there: the upstream has not started, or has ended. Nothing was sent."""


class Unanswered(Exception):  # noqa: N818 - named for the condition
    """The upstream took the call and gave no answer that can be passed on."""


class Connections:
    """Sends calls, and keeps connections open for those to come.

    There are as many connections as there are calls: admission alone says how many that are.
    """

    def __init__(self) -> None:
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(
        self, method: bytes, url: httpcore2.URL, headers: Headers, body: bytes | AsyncIterator[bytes]
    ) -> httpcore2.Response:
        """Send one call, and wait for the head of its answer. Who cancels it closes the connection.

        A call that may be made twice, and whose body is at hand, is sent once more when the connection ends without an
        answer: the upstream may have closed it while it was idle.

        Raises:
            Refused: nothing listens there.
            Unanswered: no answer came, or one that is no HTTP.
            HTTPException: 400, no HTTP request says what the client said; 504, no connection within five seconds.
        """
        attempts = 2 if isinstance(body, bytes) and method in _REPEATABLE else 1
        while True:
            attempts -= 1
            request = httpcore2.Request(method, url, headers=headers, content=body, extensions=_TIMEOUT)
            try:
                answer = await self._current().handle_async_request(request)
            except httpcore2.ConnectTimeout:
                raise HTTPException(
                    504, f"The upstream took no connection within {CONNECT_SECONDS:g} s."
                ) from None
            except httpcore2.ConnectError as error:
                raise Refused(str(error)) from error
            except httpcore2.LocalProtocolError as error:
                raise HTTPException(400, f"The request cannot be forwarded: {error}") from None
            except (httpcore2.NetworkError, httpcore2.RemoteProtocolError) as error:
                if not attempts:
                    raise Unanswered(str(error) or type(error).__name__) from error
            else:
                if _is_last(answer.headers):
                    answer.extensions["network_stream"].retire()
                return answer

    async def close(self) -> None:
        """Close them all."""
        if self._pool is not None and self._loop is asyncio.get_running_loop():
            await self._pool.aclose()
        self._pool = self._loop = None

    def _current(self) -> httpcore2.AsyncConnectionPool:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            # An application that is served without its lifespan may go from one loop to another.
            self._pool, self._loop = (
                httpcore2.AsyncConnectionPool(
                    max_connections=None,
                    max_keepalive_connections=None,
                    keepalive_expiry=_IDLE_SECONDS,
                    network_backend=Network(),
                ),
                loop,
            )
        return self._pool


def _is_last(headers: Headers) -> bool:
    """Whether the upstream closes the connection behind this answer without saying so.

    llama.cpp's server does behind each stream, and promises the contrary: the next call could meet its end.
    """
    named = {name.lower(): value for name, value in headers}
    return b"transfer-encoding" in named and named.get(b"server") == b"llama.cpp"
