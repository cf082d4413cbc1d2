"""The end of listening, and of connections, in the very moment in which a client writes."""

import asyncio
import socket
from contextlib import closing

import pytest
import uvicorn

from chutes.serve.leaving import stop_listening
from chutes.serve.listener import bind
from chutes.serve.protocol import Protocol

SECONDS = 30
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def listener():
    with bind("127.0.0.1", 0) as listener:
        yield listener


@pytest.fixture
async def server(listener):
    config = uvicorn.Config(
        hello, interface="asgi3", http=Protocol, lifespan="off", log_config=None, proxy_headers=False
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    yield server
    for one in server.servers:
        one.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def client(server, listener):
    """A connection that was answered once, and is idle."""
    with closing(connected(listener)) as client:
        client.sendall(REQUEST)
        assert (await read(client)).endswith(b"hello")
        yield client


def connected(listener):
    return socket.create_connection(listener.getsockname(), SECONDS)


async def read(client):
    """One answer, or what comes before the end of the connection."""
    found = b""
    while not found.endswith(b"hello") and (data := await asyncio.to_thread(client.recv, 65536)):
        found += data
    return found


def end_connections(server):
    for connection in list(server.server_state.connections):
        connection.shutdown()


async def test_connections_that_nobody_has_accepted_are_answered(server, listener):
    # Nothing lets the loop run between here and the end of listening.
    clients = [connected(listener) for _ in range(5)]
    address = listener.getsockname()
    for client in clients:
        client.sendall(REQUEST)
    await stop_listening(server, listener)
    for client in clients:
        assert (await read(client)).endswith(b"hello")
        client.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, SECONDS)


async def test_a_process_without_a_port_has_nobody_to_wait_for(server):
    await stop_listening(server, None)


async def test_an_idle_connection_is_closed(server, client):
    end_connections(server)
    assert await read(client) == b""


async def test_a_request_that_nobody_has_read_yet_is_answered(server, client):
    client.sendall(REQUEST)
    end_connections(server)
    assert (await read(client)).endswith(b"hello")


async def test_a_request_of_which_a_part_is_there_is_answered(server, client):
    client.sendall(REQUEST[:10])
    (connection,) = server.server_state.connections
    while connection.head_since is None:
        await asyncio.sleep(0.005)
    end_connections(server)
    client.sendall(REQUEST[10:])
    assert (await read(client)).endswith(b"hello")


async def test_the_rest_of_a_request_is_not_waited_for_for_ever(server, client, monkeypatch):
    monkeypatch.setattr("chutes.serve.protocol._LAST_HEAD_SECONDS", 0.05)
    client.sendall(REQUEST[:10])
    end_connections(server)
    assert await read(client) == b""
