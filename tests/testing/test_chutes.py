"""Chutes through the test clients: hooks, cords, streams, websockets."""

import asyncio

import httpx2
import pytest

from chutes.chute import Chute
from chutes.testing import AsyncTestClient, TestClient, WebSocketRefused, async_wait_until, wait_until


class Story:
    """A chute with a function for each thing that a client meets, and a record of what happened."""

    def __init__(self):
        self.happened = []
        self.go_on = None
        self.chute = Chute(username="acme", name="story", image="python:3.11")
        self.decorate(self.chute, self)

    @staticmethod
    def decorate(chute, story):
        @chute.on_startup()
        async def load(self):
            story.happened.append("started")
            story.go_on = asyncio.Event()

        @chute.on_shutdown()
        async def unload(self):
            story.happened.append("stopped")

        @chute.cord("/count")
        async def count(self, text: str) -> int:
            return len(text)

        @chute.cord("/words", stream=True)
        async def words(self):
            try:
                yield "once\n"
                await story.go_on.wait()
                yield "upon\n"
                await asyncio.Event().wait()
            finally:
                story.happened.append("closed")

        @chute.cord("/half", stream=True)
        async def half(self):
            yield "half"
            raise LookupError("the other half")

        @chute.websocket("/chat")
        async def chat(self, websocket):
            await websocket.accept()
            while True:
                await websocket.send_text((await websocket.receive_text()).upper())

        @chute.websocket("/closed")
        async def closed(self, websocket):
            await websocket.close(1008)


@pytest.fixture
def story():
    return Story()


def test_a_chute_is_driven_from_startup_to_shutdown(story):
    with TestClient(story.chute) as client:
        assert story.happened == ["started"]
        response = client.post("/count", json={"text": "four"})
        assert response.json() == 4
        assert len(response.headers["x-request-id"]) == 32
        assert client.post("/count", json={}).status_code == 422
        assert client.get("/readyz").status_code == 200
    assert story.happened == ["started", "stopped"]


def test_a_chutes_stream_arrives_as_it_is_made_and_ends_with_its_client(story):
    with TestClient(story.chute) as client:
        with client.stream("POST", "/words") as response:
            lines = response.iter_lines()
            assert next(lines) == "once"
            assert story.happened == ["started"]
        wait_until(lambda: "closed" in story.happened, timeout=1)


async def test_a_chutes_stream_arrives_as_it_is_made_async(story):
    async with AsyncTestClient(story.chute) as client:
        async with client.stream("POST", "/words") as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "once"
            story.go_on.set()
            assert await anext(lines) == "upon"
        await async_wait_until(lambda: "closed" in story.happened, timeout=1)
    assert story.happened == ["started", "closed", "stopped"]


def test_a_chutes_broken_stream_shows_the_users_exception(story, caplog):
    with TestClient(story.chute) as client, pytest.raises(httpx2.RemoteProtocolError) as raised:
        client.post("/half")
    assert isinstance(raised.value.__cause__, LookupError)
    # The chute has logged it; a second time would only hide it.
    assert [record.name for record in caplog.records] == ["chutes.acme.story"]


def test_with_raise_errors_a_chutes_broken_stream_raises_the_users_exception(story):
    with (
        TestClient(story.chute, raise_errors=True) as client,
        pytest.raises(LookupError, match="the other half"),
    ):
        client.post("/half")


def test_a_chute_talks_over_websockets(story):
    with TestClient(story.chute) as client:
        with client.websocket_connect("/chat") as ws:
            ws.send_text("hello")
            assert ws.receive_text() == "HELLO"
        with pytest.raises(WebSocketRefused) as refused:
            client.websocket_connect("/closed").__enter__()
    assert (refused.value.status, refused.value.code) == (403, 1008)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_chutes_failing_hook_raises_its_own_exception(kind):
    chute = Chute(username="acme", name="broken", image="python:3.11")
    if kind == "async":

        @chute.on_startup()
        async def load(self):
            raise FileNotFoundError("weights.bin")

    else:

        @chute.on_startup()
        def load(self):
            raise FileNotFoundError("weights.bin")

    with pytest.raises(FileNotFoundError, match=r"weights\.bin"):
        TestClient(chute).__enter__()


def test_a_chute_can_be_started_again(story):
    for _ in range(2):
        with TestClient(story.chute) as client:
            assert client.post("/count", json={"text": "ab"}).json() == 2
    assert story.happened == ["started", "stopped"] * 2
