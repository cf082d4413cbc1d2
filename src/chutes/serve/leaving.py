"""The end of listening: whoever has a connection by then, or waits for one, gets an answer."""

import asyncio
import socket
from typing import TYPE_CHECKING, cast

import uvicorn

from chutes.serve.listener import BACKLOG

if TYPE_CHECKING:
    from chutes.serve.protocol import Protocol

__all__ = ["stop_listening"]

_FIRST_REQUEST_SECONDS = 0.1


async def stop_listening(server: uvicorn.Server, listener: socket.socket | None) -> None:
    """Accept what waits in the backlog, which the kernel would reset, and close the listening socket.

    Returns a moment later: connections that were accepted just now have had time to send their first request.

    Args:
        server: takes the connections over.
        listener: None for a process that serves no requests.
    """
    waiting = [] if listener is None else _accepted(listener)
    for one in server.servers:
        one.close()
    loop = asyncio.get_running_loop()

    def protocol() -> "Protocol":
        made = server.config.http_protocol_class(  # type: ignore[call-arg] # as uvicorn itself makes them
            config=server.config,
            server_state=server.server_state,
            app_state=server.lifespan.state,
            _loop=loop,
        )
        return cast("Protocol", made)

    for connection in waiting:
        await loop.connect_accepted_socket(protocol, connection)
    await asyncio.sleep(_FIRST_REQUEST_SECONDS)


def _accepted(listener: socket.socket) -> list[socket.socket]:
    """The connections that wait; a flood of them has an end."""
    found: list[socket.socket] = []
    for _ in range(BACKLOG):
        try:
            connection, _address = listener.accept()
        except ConnectionAbortedError:
            continue  # the client has left
        except OSError:
            return found  # there is none any more, or no descriptor for it
        connection.setblocking(False)
        found.append(connection)
    return found
