"""Large bodies of many clients at a time: memory stays bounded, small ones pass, and those under way are read to their end."""

import asyncio

import pytest

MEGABYTE = 1024 * 1024
LARGEST = 4 * MEGABYTE
AT_ONCE = 16
CLIENTS = 64
BODY = b'{"text":"%s"}' % (b"a" * (LARGEST - 11))
CHUTE = f"""
from chutes.chute import Chute

chute = Chute(username="test", name="bodies", image="python:3.12", concurrency=4, max_body_size={LARGEST})


@chute.cord("/size")
async def size(self, text: str):
    return len(text)
"""


@pytest.fixture
def chute(program):
    program.write(CHUTE)
    with program.start("app.py", "--port", 0) as chute:
        yield chute


async def test_memory_stays_bounded_when_many_clients_send_large_bodies(chute):
    before = chute.memory()
    clients = [await open_upload(chute.port) for _ in range(CLIENTS)]
    heads = [asyncio.create_task(reader.readuntil(b"\r\n\r\n")) for reader, _ in clients]
    async with asyncio.timeout(60):
        while sum(head.done() for head in heads) < CLIENTS - AT_ONCE:
            await asyncio.sleep(0.02)
    assert chute.memory() - before < 3 * AT_ONCE * LARGEST

    refused = [head.result() for head in heads if head.done()]
    assert all(b" 503 " in head and b"retry-after: 1\r\n" in head for head in refused)
    async with chute.async_client() as client:
        assert (await client.post("/size", json={"text": "small"})).json() == 5

    waiting = [(head, *client) for head, client in zip(heads, clients, strict=True) if not head.done()]
    assert waiting
    for _, _, writer in waiting:
        writer.write(BODY[-1:])
    for head, reader, _ in waiting:
        assert b" 200 " in await head
        assert await reader.readexactly(7) == str(len(BODY) - len(b'{"text":""}')).encode()
    for _, writer in clients:
        writer.close()


async def open_upload(port):
    """A client that sends all of a body but its last byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /size HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LARGEST}\r\n\r\n"
    writer.write(head.encode() + BODY[:-1])
    return reader, writer


async def test_what_clients_that_left_had_sent_is_free_again(chute):
    for _ in range(3):
        clients = [await open_upload(chute.port) for _ in range(AT_ONCE)]
        await asyncio.gather(*(writer.drain() for _, writer in clients))
        for _, writer in clients:
            writer.transport.abort()
    async with chute.async_client() as client:

        async def whole():
            response = await client.post("/size", content=BODY, headers={"Content-Type": "application/json"})
            return response.status_code

        async with asyncio.timeout(60):
            # All sixteen at once pass only when nothing else is held.
            while await asyncio.gather(*(whole() for _ in range(AT_ONCE))) != [200] * AT_ONCE:
                await asyncio.sleep(0.05)
