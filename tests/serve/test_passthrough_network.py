"""Connections to upstreams, against sockets that do what upstreams do in trouble."""

import asyncio
import socket
import threading
from contextlib import contextmanager

import httpcore2
import pytest

from chutes.serve.passthrough_network import Network
from support.http_servers import unused_address

LINGER_ZERO = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@contextmanager
def peer(serve):
    """A server whose one connection is given to `serve` in a thread; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run():
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)
        assert not thread.is_alive()


def open_to(port):
    return Network().connect_tcp("127.0.0.1", port, timeout=20)


async def everything(connection):
    found = []
    while part := await connection.read(65536):
        found.append(part)
    return b"".join(found)


async def close(connection):
    await connection.aclose()
    # The socket is closed by the loop.
    await asyncio.sleep(0.01)


async def test_what_was_said_is_read_to_its_end():
    with peer(lambda connection: connection.sendall(b"x" * 1_000_000)) as port:
        connection = await open_to(port)
        assert await everything(connection) == b"x" * 1_000_000
        assert connection.get_extra_info("is_readable")
        await close(connection)


async def test_a_connection_that_breaks_is_no_end():
    def breaks(connection):
        connection.sendall(b"half")
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)

    with peer(breaks) as port:
        connection = await open_to(port)
        assert await connection.read(65536) == b"half"
        await connection.write(b"x")
        with pytest.raises(httpcore2.ReadError):
            await connection.read(65536)
        with pytest.raises(httpcore2.WriteError):
            await connection.write(b"x")


async def test_a_peer_that_reads_nothing_holds_the_writer_up():
    release = threading.Event()

    def reads_late(connection):
        release.wait(20)
        while connection.recv(1 << 20):
            pass

    with peer(reads_late) as port:
        connection = await open_to(port)
        sent = 0

        async def send():
            nonlocal sent
            for _ in range(512):
                await connection.write(b"x" * (1 << 20))
                sent += 1

        task = asyncio.create_task(send())
        done, _ = await asyncio.wait([task], timeout=0.3)
        assert not done
        assert sent < 512
        release.set()
        await asyncio.wait_for(task, 20)
        await close(connection)


async def test_a_peer_that_is_not_read_is_held_up():
    state = {"sent": 0}

    def sends(connection):
        for _ in range(256):
            connection.sendall(b"x" * (1 << 20))
            state["sent"] += 1

    with peer(sends) as port:
        connection = await open_to(port)
        before = -1
        while before != state["sent"]:
            before = state["sent"]
            await asyncio.sleep(0.2)
        assert state["sent"] < 256
        read = 0
        while part := await connection.read(65536):
            read += len(part)
        assert read == 256 << 20
        await close(connection)


async def test_closing_waits_for_nobody():
    release = threading.Event()

    def reads_nothing(connection):
        release.wait(20)

    with peer(reads_nothing) as port:
        connection = await open_to(port)
        task = asyncio.create_task(connection.write(b"x" * (64 << 20)))
        await asyncio.sleep(0.1)
        task.cancel()
        await close(connection)
        await asyncio.wait([task])
        with pytest.raises(httpcore2.WriteError):
            await connection.write(b"x")
        release.set()


async def test_nobody_there_is_an_error_of_connecting():
    with unused_address() as address, pytest.raises(httpcore2.ConnectError):
        await open_to(int(address.rpartition(":")[2]))


async def test_a_peer_that_takes_no_connection_is_waited_for_no_longer_than_asked():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            # Beyond the backlog nobody is even answered.
            one.setblocking(False)
            one.connect_ex(address)
        with pytest.raises(httpcore2.ConnectTimeout):
            await Network().connect_tcp("127.0.0.1", address[1], timeout=0.3)
        for one in waiting:
            one.close()
