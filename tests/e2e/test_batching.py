"""Batched cords in a process of their own: many clients, some of whom leave or send what the model refuses."""

import asyncio
import itertools
import json
import random

import pytest

NAMES = itertools.count()


@pytest.fixture(scope="module")
def chute(module_serve):
    with module_serve("apps/batched.py") as chute:
        yield chute


@pytest.fixture(params=["/thread", "/loop"])
def path(request):
    return request.param


def batches_with(chute, name):
    with chute.client() as client:
        record = client.get("/record").json()
    return [batch for batch in record["batches"] if any(name in text for text in batch)]


async def test_each_client_of_many_gets_its_own_result_and_batches_are_as_large_as_they_may(chute, path):
    name = f"many-{next(NAMES)}"
    async with chute.async_client() as client:

        async def keep_calling(worker):
            for number in range(20):
                text = f"{name}-{worker}-{number}"
                response = await client.post(path, json={"text": text})
                assert (response.status_code, response.json()) == (200, text.upper())

        # While the first call keeps the model busy, the others gather.
        first = asyncio.create_task(client.post(path, json={"text": f"{name}-first", "seconds": 3}))
        await asyncio.to_thread(chute.wait_until, lambda: batches_with(chute, f"{name}-first"))
        await asyncio.gather(*(keep_calling(worker) for worker in range(48)))
        assert (await first).status_code == 200
    batches = batches_with(chute, name)
    assert sum(map(len, batches)) == 48 * 20 + 1
    assert max(map(len, batches)) == 16


async def test_a_bad_item_fails_alone(chute, path):
    name = f"bad-{next(NAMES)}"
    async with chute.async_client() as client:
        texts = [f"{name}-{n}" if n % 3 == 0 else f"good-{name}-{n}" for n in range(30)]
        responses = await asyncio.gather(*(client.post(path, json={"text": text}) for text in texts))
    for text, response in zip(texts, responses, strict=True):
        assert response.status_code == (500 if text.startswith("bad") else 200)
        assert name not in response.text or response.status_code == 200 or "request_id" in response.json()


async def test_who_leaves_the_queue_never_reaches_the_model(chute, path):
    name = f"leaves-{next(NAMES)}"

    def call(text, seconds):
        body = json.dumps({"text": text, "seconds": seconds}).encode()
        connection = chute.connect()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection

    running = call(f"{name}-runs", 2)
    chute.wait_until(lambda: batches_with(chute, f"{name}-runs"))
    cord = path[1:]
    leaving = [call(f"{name}-gone-{n}", 0.01) for n in range(10)]
    staying = [call(f"{name}-stays-{n}", 0.01) for n in range(3)]
    chute.wait_until(lambda: chute.gauge("batch_waiting", cord) == 13)
    for connection in leaving:
        connection.close()
    chute.wait_until(lambda: chute.gauge("batch_waiting", cord) == 3)
    for connection in (running, *staying):
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.close()
    texts = [text for batch in batches_with(chute, name) for text in batch]
    assert sorted(texts) == sorted([f"{name}-runs", *(f"{name}-stays-{n}" for n in range(3))])


async def test_hasty_clients_leave_nothing_behind(chute, path):
    rng = random.Random(5)

    async def hasty():
        reader, writer = await asyncio.open_connection("127.0.0.1", chute.port)
        body = json.dumps({"text": "hasty"}).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        try:
            async with asyncio.timeout(rng.random() * 0.04):
                await reader.read(1000)
        except TimeoutError:
            writer.transport.abort()
        writer.close()

    for _ in range(10):
        await asyncio.gather(*(hasty() for _ in range(40)))
    chute.wait_until(lambda: chute.gauge("running") + chute.gauge("waiting") == 0)
    chute.wait_until(lambda: chute.gauge("batch_waiting", path[1:]) == 0)
    with chute.client() as client:
        assert client.post(path, json={"text": "still here"}).json() == "STILL HERE"


@pytest.mark.parametrize("path", ["/thread", "/loop"])
async def test_a_stop_answers_everybody(serve, path):
    with serve("apps/batched.py") as chute:
        async with chute.async_client() as client:
            calls = [
                asyncio.create_task(client.post(path, json={"text": f"t{n}", "seconds": 0.3}))
                for n in range(40)
            ]
            await asyncio.to_thread(chute.wait_until, lambda: chute.gauge("batch_waiting", path[1:]) >= 20)
            chute.send()
            answers = await asyncio.gather(*calls)
        assert [answer.json() for answer in answers] == [f"T{n}" for n in range(40)]
        assert chute.wait() == 0
