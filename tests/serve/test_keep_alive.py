"""Comments in streams of events that are silent."""

import asyncio
import contextlib
import threading

import pytest
from fastapi import HTTPException
from fastapi.responses import StreamingResponse

from chutes.serve.keep_alive import KeepAlive
from chutes.testing import AsyncTestClient, TestClient, async_wait_until
from support.serving import new_chute

COMMENT = ": keep-alive\n\n"
SILENCE = 0.02


@contextlib.contextmanager
def streaming(function, seconds=SILENCE, **options):
    chute = new_chute(sse_keep_alive=seconds)
    chute.cord("/run", stream=True, **options)(function)
    with TestClient(chute) as client:
        yield client


async def late(self):
    yield {"n": 1}
    await asyncio.sleep(SILENCE * 10)
    yield {"n": 2}


def late_in_a_thread(self):
    yield {"n": 1}
    threading.Event().wait(SILENCE * 25)
    yield {"n": 2}


@pytest.mark.parametrize("source", [late, late_in_a_thread])
def test_a_silent_stream_of_events_gets_comments(source):
    with streaming(source) as client:
        text = client.post("/run").text
    assert text.startswith('data: {"n":1}\n\n' + COMMENT)
    assert text.endswith(COMMENT + 'data: {"n":2}\n\n')
    assert text.replace(COMMENT, "") == 'data: {"n":1}\n\ndata: {"n":2}\n\n'


def test_a_declared_stream_of_events_begins_with_a_comment_when_its_first_item_is_late():
    release = threading.Event()

    async def run(self):
        while not release.is_set():
            await asyncio.sleep(0.001)
        yield {"n": 1}

    with (
        streaming(run, output_content_type="text/event-stream") as client,
        client.stream("POST", "/run") as response,
    ):
        parts = response.iter_text()
        assert (response.status_code, next(parts)) == (200, COMMENT)
        release.set()
        assert "".join(parts).endswith('data: {"n":1}\n\n')


def test_an_error_after_the_first_comment_is_an_event():
    async def run(self):
        await asyncio.sleep(SILENCE * 10)
        raise HTTPException(404, "no such story")
        yield

    with streaming(run, output_content_type="text/event-stream") as client:
        response = client.post("/run")
    assert response.status_code == 200
    assert response.text.replace(COMMENT, "").startswith(
        'event: error\ndata: {"detail":"no such story","status":404'
    )


def test_an_error_before_it_is_an_ordinary_one():
    async def run(self):
        raise HTTPException(404, "no such story", headers={"X-One": "1"})
        yield

    with streaming(run, 60, output_content_type="text/event-stream") as client:
        response = client.post("/run")
    assert (response.status_code, response.json()) == (404, {"detail": "no such story"})
    assert response.headers["X-One"] == "1"


def test_a_silent_streaming_response_of_events_gets_comments_too():
    async def run(self):
        async def lines():
            yield "data: 1\n\n"
            await asyncio.sleep(SILENCE * 10)
            yield "data: 2\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    with streaming(run) as client:
        assert f"data: 1\n\n{COMMENT}" in client.post("/run").text


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: a", b"b\n\n"],
        ["data: a\n", "data: b\n\n"],
        ["data: a\n", b"\n"],
        ["event: a\n", "id: 1\n", "data: b\n", b"\r\n"],
    ],
)
def test_no_comment_comes_inside_an_event(pieces):
    async def run(self):
        for piece in pieces:
            yield piece
            await asyncio.sleep(SILENCE * 5)
        yield "data: end\n\n"

    with streaming(run, output_content_type="text/event-stream") as client:
        text = client.post("/run").text
    whole = "".join(piece if isinstance(piece, str) else piece.decode() for piece in pieces)
    assert text.startswith(whole + COMMENT)


def test_a_stream_whose_first_part_is_empty_gets_comments_too():
    async def run(self):
        yield b""
        await asyncio.sleep(SILENCE * 10)
        yield b"data: 1\n\n"

    with streaming(run, output_content_type="text/event-stream") as client:
        assert client.post("/run").text.startswith(COMMENT)


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "text/plain", None])
def test_any_other_stream_gets_none(content_type):
    async def run(self):
        yield "a"
        await asyncio.sleep(SILENCE * 5)
        yield "b"

    options = {"output_content_type": content_type} if content_type else {}
    with streaming(run, **options) as client:
        assert client.post("/run").text == "ab"


def test_none_is_sent_where_none_is_wanted():
    async def run(self):
        yield {"n": 1}
        await asyncio.sleep(0.05)

    with streaming(run, 0) as client:
        assert client.post("/run").text == 'data: {"n":1}\n\n'


async def test_a_client_that_leaves_before_the_first_item_ends_the_stream():
    chute, closed = new_chute(sse_keep_alive=SILENCE), []

    @chute.cord("/run", stream=True, output_content_type="text/event-stream")
    async def run(self):
        try:
            await asyncio.sleep(60)
            yield {"n": 1}
        finally:
            closed.append(1)

    async with AsyncTestClient(chute) as client:
        async with client.stream("POST", "/run") as response:
            await anext(response.aiter_raw())
        await async_wait_until(lambda: closed == [1])


class Said:
    """A stream that is watched; its comments go out when the client takes them."""

    def __init__(self, seconds=SILENCE):
        self.taken = asyncio.Event()
        self.begun = 0
        self.alive = KeepAlive(seconds, self._say)

    async def _say(self):
        self.begun += 1
        await self.taken.wait()


async def test_a_part_waits_for_the_comment_before_it():
    said = Said()
    await async_wait_until(lambda: said.begun == 1)
    assert said.alive.blocked
    settled = asyncio.create_task(said.alive.settle())
    await asyncio.sleep(SILENCE * 3)
    assert (settled.done(), said.begun) == (False, 1)
    said.taken.set()
    await settled
    await said.alive.stop()


async def test_no_comment_comes_while_a_part_waits_for_its_client():
    said = Said()
    said.alive.waiting = False
    await asyncio.sleep(SILENCE * 3)
    assert said.begun == 0
    said.alive.waiting = True
    await async_wait_until(lambda: said.begun == 1)
    await said.alive.stop()


async def test_what_went_wrong_with_a_comment_reaches_the_stream():
    async def fail():
        raise OSError("gone")

    alive = KeepAlive(SILENCE, fail)
    await async_wait_until(lambda: alive.comment is not None)
    with pytest.raises(OSError, match="gone"):
        await alive.settle()
    await alive.stop()
