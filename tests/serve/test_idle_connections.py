"""Connections on which nothing comes after an answer."""

import asyncio
import time

import pytest
import uvicorn
from uvicorn.server import ServerState

from chutes.serve.protocol import Protocol, drop_stuck

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KEEP_ALIVE = uvicorn.Config("", log_config=None).timeout_keep_alive


class Transport(asyncio.Transport):
    """One that writes nowhere."""

    def __init__(self):
        super().__init__()
        self.closed = False

    def write(self, data):
        """Nobody reads it."""

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True


async def answer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def connection():
    """A connection whose first request was answered."""
    config = uvicorn.Config(answer, interface="asgi3", lifespan="off", log_config=None, proxy_headers=False)
    config.load()
    protocol = Protocol(config, ServerState(), {})
    protocol.connection_made(Transport())
    protocol.data_received(REQUEST)
    while protocol.idle_since is None:
        await asyncio.sleep(0)
    return protocol


async def test_one_that_is_idle_for_too_long_is_closed(connection):
    drop_stuck([connection])
    assert not connection.transport.closed
    connection.idle_since = time.monotonic() - KEEP_ALIVE - 1
    drop_stuck([connection])
    assert connection.transport.closed


async def test_one_with_a_next_request_is_not_idle(connection):
    connection.idle_since -= KEEP_ALIVE + 1
    connection.data_received(REQUEST)
    drop_stuck([connection])
    assert not connection.transport.closed
    while connection.idle_since is None:
        await asyncio.sleep(0)
    assert connection.server_state.total_requests == 2
