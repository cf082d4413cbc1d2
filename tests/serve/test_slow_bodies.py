"""Bodies that come slowly, and clients that leave in the middle of theirs."""

import asyncio

import pytest
from fastapi import Request, UploadFile

from chutes.testing import AsyncTestClient, async_wait_until
from support.serving import new_chute


@pytest.mark.parametrize("size", [10, 300_000])
async def test_watching_for_the_client_eats_nothing_of_the_body(size):
    chute = new_chute(on_disconnect="cancel")

    @chute.cord("/run")
    async def run(self, request: Request):
        await asyncio.sleep(0.03)
        return sum([len(part) async for part in request.stream()])

    async def body():
        for _ in range(10):
            await asyncio.sleep(0.002)
            yield b"x" * (size // 10)

    async with AsyncTestClient(chute) as client:
        assert (await client.post("/run", content=b"x" * size)).json() == size
        assert (await client.post("/run", content=body())).json() == size


@pytest.mark.parametrize("middleware", [True, False])
@pytest.mark.parametrize("kind", ["by name", "request", "file"])
async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(kind, middleware, caplog):
    chute = new_chute()
    begun = asyncio.Event()

    async def by_name(self, text: str): ...

    async def with_request(self, request: Request):
        await request.body()

    async def with_file(self, file: UploadFile): ...

    chute.cord("/run")({"by name": by_name, "request": with_request, "file": with_file}[kind])
    if middleware:

        @chute.middleware("http")
        async def through(request, call_next):
            return await call_next(request)

    async def body():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx'
        begun.set()
        await asyncio.sleep(60)

    types = {"file": "multipart/form-data; boundary=b"}
    async with AsyncTestClient(chute) as client:
        headers = {"content-type": types.get(kind, "application/json")}
        sent = asyncio.create_task(client.post("/run", content=body(), headers=headers))
        await begun.wait()
        await asyncio.sleep(0.01)
        sent.cancel()
        await asyncio.wait([sent])
        assert (await client.get("/readyz")).status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("policy", ["finish", "cancel"])
@pytest.mark.parametrize("also_by_name", [True, False])
async def test_asking_whether_the_client_left_loses_nothing_of_the_body(policy, also_by_name):
    chute = new_chute(on_disconnect=policy)

    async def asked(request):
        answers = [await request.is_disconnected() for _ in range(3)]
        return [answers, (await request.body()).decode()]

    async def with_name(self, text: str, request: Request):
        await asyncio.sleep(0.01)
        return await asked(request)

    async def alone(self, request: Request):
        await request.body()
        return await asked(request)

    chute.cord("/run")(with_name if also_by_name else alone)
    async with AsyncTestClient(chute, timeout=5) as client:
        response = await client.post("/run", json={"text": "a"})
    assert response.json() == [[False] * 3, '{"text":"a"}']


async def test_a_cord_may_ask_whether_its_client_left():
    chute = new_chute()
    chute.seen = []

    @chute.cord("/run")
    async def run(self, text: str, request: Request):
        self.seen.append("begin")
        while not await request.is_disconnected():
            await asyncio.sleep(0.002)
        self.seen.append("left")

    async with AsyncTestClient(chute) as client:
        sent = asyncio.create_task(client.post("/run", json={"text": "a"}))
        await async_wait_until(lambda: chute.seen)
        sent.cancel()
        await async_wait_until(lambda: "left" in chute.seen)
